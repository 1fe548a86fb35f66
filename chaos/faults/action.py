"""The base of all kinds of faults: data with methods to check, draw, carry out, describe and shrink it.

A kind is one class in its family's file. It defines, from the top of the class down:

    fields        the data in a schedule; the class's tag is the kind's name
    check         yields what is wrong with the fields, beyond their types
    draw          a fault of the kind at a random time, with the seed's `strength`
    domain        its values, for property-based tests
    strike        carries the fault out, heals it, and observes its effect
    summary       all faults of the kind in a schedule, in words
    smaller       weaker forms of the fault, for shrinking

A fault acts on a world through a capability, a small protocol beside the kind. A world implements the capabilities that
it supports, and `Strike.can` asks for one. `catalogue` finds the kinds by itself.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, ClassVar, Self, TypeVar

import msgspec
from msgspec.structs import replace

from raft_chaos.chaos.faults import limits
from raft_chaos.chaos.faults.abilities import Abilities, Ability
from raft_chaos.chaos.faults.domain import Domain
from raft_chaos.chaos.faults.names import PLACEHOLDERS, VOTER, Roles, around, asked_by, named, unknown
from raft_chaos.chaos.faults.strike import Strike
from raft_chaos.raft.state.features import Features

Name = TypeVar("Name", bound=str)


class Strength(msgspec.Struct, frozen=True):
    """The options that one seed draws for all faults of a kind. Zero, or empty, is off."""


@dataclass(frozen=True)
class Room:
    """The parameters for drawing a single fault at a random time, and the room that other faults leave at that time.

    `timeout_us` is the longest election timeout. At most `spare` more nodes may be disturbed, so that a majority stays
    undisturbed. `up` are the nodes that are certainly up then; "leader" alone if only that is certain. `crowded` says
    that there are other faults at that time. The fault may last `most_us`. `damageable` are the nodes that it may
    damage for good: of the minority that the seed may, those that no earlier fault has. `reads_back` says that nodes
    read from their disks while they run, and `compacts` that they take snapshots.
    """

    rng: Random
    nodes: list[str]
    timeout_us: int
    strength: Any
    spare: int
    up: list[str]
    crowded: bool
    most_us: int
    damageable: list[str]
    reads_back: bool = False
    compacts: bool = False


class Action(msgspec.Struct, frozen=True, tag_field="type", forbid_unknown_fields=True):
    """One kind of fault. A kind overrides the defaults below."""

    about: ClassVar[str]
    """What it does, in one line."""
    seen: ClassVar[str]
    """How its effect is seen, in one line; a fault whose effect is not seen makes the run vacuous."""
    then: ClassVar[str] = ""
    """What a node may do when it is hit, if that is more than to go on."""
    needs: ClassVar[type]
    """The capability that a world must have for it."""
    in_live: ClassVar[bool] = True
    """Whether it exists in real time at all, given a network that can do it."""
    asks: ClassVar[tuple[Ability, ...]] = ()
    """What the target must be able to do, or the kind does not exist for it."""
    feature: ClassVar[str] = ""
    """The feature of our own nodes without which it does not exist (`raft.state.features`)."""
    at_once: ClassVar[bool] = False
    """Whether it ends as soon as it has struck, and so has no duration."""
    stops_nodes: ClassVar[bool] = False
    """Whether its nodes are down or paused as long as it lasts."""
    disturbs: ClassVar[bool] = False
    """Whether it disturbs nodes, of which single faults must leave a majority undisturbed."""
    ends_nodes: ClassVar[bool] = False
    """Whether its nodes stay down for the rest of the run, and owe nothing."""
    late_frames: ClassVar[bool] = True
    """Whether frames may still be late once it is over. A kind after which none is says so here, and in the list that
    the checkers have of them (`invariants.checkers.standing`)."""
    outlasts_itself: ClassVar[bool] = False
    """Whether what it asked for in vain may still come, once it is over: then nothing is owed for certain."""
    leaves_behind: ClassVar[bool] = False
    """Whether a node may miss entries as long as it lasts, and so owes catching up."""

    # ---- as data ---------------------------------------------------------------------------------------------------

    @classmethod
    def kind(cls) -> str:
        """The kind's name in a schedule: "kill", "slow_sync"."""
        return str(cls.__struct_config__.tag)

    @classmethod
    def placeholders(cls, *, at_vote: bool) -> list[str]:
        """The roles that may stand for nodes, such as "leader"; `at_vote`: in a fault anchored to a granted vote."""
        return [role for role in PLACEHOLDERS if at_vote or role != VOTER]

    def check(self, nodes: Sequence[str]) -> Iterator[str]:
        """Yields what is wrong, one sentence each. `nodes` are the names that are allowed, placeholders included."""
        yield from ()

    def lasts_us(self, duration_us: int) -> int:
        """How long it lasts if the schedule says `duration_us`."""
        return 0 if self.at_once else duration_us

    def must_wait(self, nodes: Sequence[str], roles: Roles, outsiders: Collection[str] = ()) -> bool:
        """Whether it cannot fire yet, with these roles, and `outsiders` that are no members of the cluster (§6)."""
        return unknown(self.names, roles)

    @property
    def cuts_off_leader(self) -> bool:
        """Whether it is a cut between the leader and all others."""
        return False

    @property
    def names(self) -> list[str]:
        """All nodes and roles that it names."""
        raise NotImplementedError

    # ---- as far as a target can be broken ---------------------------------------------------------------------------

    @classmethod
    def exists(cls, can: Abilities) -> bool:
        """Whether a target with these abilities can suffer the kind at all."""
        return can.issuperset(cls.asks)

    @classmethod
    def exists_with(cls, features: Features) -> bool:
        """Whether nodes of our own with these features can suffer the kind."""
        return not cls.feature or bool(getattr(features, cls.feature))

    def asked(self) -> set[Ability]:
        """The abilities that this very fault asks for."""
        return {*self.asks, *asked_by(self.names)}

    def placed(self, leader: str, nodes: Sequence[str]) -> Self:
        """The same fault as if this node led: with nodes for the roles that follow from that."""
        raise NotImplementedError

    def weakened(self, can: Abilities) -> Self | None:
        """What is left of it for a target with these abilities; None if nothing is."""
        return self if can.issuperset(self.asks) else None

    # ---- drawn from a seed -----------------------------------------------------------------------------------------

    odds: ClassVar[float] = 0.7
    """How probable it is that a plain schedule has faults of the kind."""
    plain_times: ClassVar[int] = 1
    """How frequent they are there, relative to the other kinds."""

    @classmethod
    def plain(cls, rng: Random, timeout_us: int) -> Strength:
        """How strong the kind is in a plain schedule, which a cluster of real processes can tolerate."""
        return Strength()

    @classmethod
    def wide(cls, rng: Random, timeout_us: int) -> Strength:
        """How strong the kind is in a seed of the swarm: off in some seeds, and very strong in others."""
        return Strength()

    @classmethod
    def often(cls, rng: Random, strength: Any) -> int:
        """How frequent it is in a seed of the swarm, relative to the other kinds; 0: never."""
        return rng.choice((0, 1))

    @classmethod
    def draw(cls, room: Room) -> Self | None:
        """A fault at a random time; None if there is no room for one."""
        raise NotImplementedError

    def drawn_us(self, room: Room) -> int:
        """The duration of a drawn fault (µs)."""
        return room.most_us

    def detailed(self, rng: Random, strength: Any) -> Self:
        """The same fault, with the details that every fault of the kind draws, also in episodes."""
        return self

    def disturbed(self, count: int) -> int:
        """How many of `count` nodes are down, stopped or cut off, at most."""
        return 0

    @classmethod
    def domain(cls, nodes: Sequence[str], *, longest_us: int, at_vote: bool) -> Domain:
        """Its values among these nodes; it lasts at most `longest_us`."""
        raise NotImplementedError

    # ---- in a run --------------------------------------------------------------------------------------------------

    async def strike(self, at: Strike) -> None:
        """Carries the fault out, from its moment until it is healed."""
        raise NotImplementedError

    def isolated(self, leader: str | None) -> str | None:
        """The leader that it cuts off; that node then leads nobody, whatever it reports."""
        return None

    # ---- described -------------------------------------------------------------------------------------------------

    @classmethod
    def summary(cls, faults: Sequence[tuple[Self, int]], nodes: Sequence[str]) -> Iterator[str]:
        """Describes all faults of the kind in one schedule (each with its duration in µs), in lines of "kind: ..."."""
        raise NotImplementedError

    # ---- made smaller ----------------------------------------------------------------------------------------------

    def smaller(self) -> Iterator[Self]:
        """Weaker forms of the same fault, the weakest first."""
        yield from ()

    def without(self, gone: Sequence[str]) -> Self | None:
        """The fault among the remaining nodes; None if it hit only nodes in `gone`."""
        raise NotImplementedError


class OnNodes(Action, frozen=True):
    """A fault that hits nodes."""

    nodes: list[str]

    def check(self, nodes: Sequence[str]) -> Iterator[str]:
        yield from limits.nodes("action.nodes", self.nodes, nodes)

    @property
    def names(self) -> list[str]:
        return self.nodes

    def placed(self, leader: str, nodes: Sequence[str]) -> Self:
        return replace(self, nodes=named(self.nodes, around(leader, nodes)))

    def hit(self, at: Strike) -> list[str]:
        """The ids of the nodes that it hits."""
        return named(self.nodes, at.roles)

    def smaller(self) -> Iterator[Self]:
        if len(self.nodes) > 1:
            for node in self.nodes:
                yield replace(self, nodes=[other for other in self.nodes if other != node])

    def without(self, gone: Sequence[str]) -> Self | None:
        left = [name for name in self.nodes if name not in gone]
        return replace(self, nodes=left) if left else None


def nodes_of(action: Action) -> list[str]:
    """The names of the nodes that it hits; none if it hits links."""
    return action.nodes if isinstance(action, OnNodes) else []


def sums(before: Mapping[Any, Any], after: Mapping[Any, Any], field: str) -> int:
    """The total growth of the counters of this name."""
    return sum(getattr(after[name], field) - getattr(before[name], field) for name in before)


def some(rng: Random, names: Sequence[Name], count: int) -> list[Name]:
    """`count` of the names, drawn, in the order of the names."""
    return [names[place] for place in sorted(rng.sample(range(len(names)), count))]


def strong(rng: Random, most: float) -> float:
    """Off for two seeds in five, else up to `most`, and never too weak to have a visible effect."""
    there, value = rng.random() < 0.6, rng.uniform(most / 6, most)
    return round(value, 4) if there else 0.0
