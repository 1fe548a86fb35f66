"""What every kind of fault is: data that knows how it is checked, drawn, carried out, told and made smaller.

A kind is one class in its family's file. It says, from the top of the class down:

    fields        what stands in a schedule; the class's tag is the kind's name
    check         what is wrong with the fields, beyond their types
    draw          a fault of the kind at a random time, as strong as the seed has it (`strength`)
    domain        its values, for property-based tests
    strike        how it is carried out, healed, and seen to have had an effect
    summary       all faults of the kind in a schedule, in words
    smaller       less of it, for shrinking

How a fault acts on a world is a capability, a small protocol that stands beside the kind. A world has what it can do:
`Strike.can` asks for it. `catalogue` finds the kinds by itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, ClassVar, Self, TypeVar

import msgspec
from msgspec.structs import replace

from raft_chaos.chaos.faults import limits
from raft_chaos.chaos.faults.domain import Domain
from raft_chaos.chaos.faults.names import LEADER, OTHERS, named
from raft_chaos.chaos.faults.strike import Strike

Name = TypeVar("Name", bound=str)


class Strength(msgspec.Struct, frozen=True):
    """What one seed draws for all faults of a kind, as options with names of their own. Zero, or empty, is off."""


@dataclass(frozen=True)
class Room:
    """What a single fault at a random time is drawn from, and what is left for it beside the others at that time.

    `timeout_us` is the longest election timeout. At most `spare` more nodes may be disturbed, for a majority to stay
    undisturbed. `up` are those of which it is known that they are up then; "leader" alone where only that is known.
    `crowded` says that there are other faults at that time. It may last `most_us`.
    """

    rng: Random
    nodes: list[str]
    timeout_us: int
    strength: Any
    spare: int
    up: list[str]
    crowded: bool
    most_us: int


class Action(msgspec.Struct, frozen=True, tag_field="type", forbid_unknown_fields=True):
    """One kind of fault. What a kind leaves out here it has by default."""

    about: ClassVar[str]
    """What it does, in one line of the manual."""
    needs: ClassVar[type]
    """The capability that a world must have for it."""
    in_live: ClassVar[bool] = True
    """Whether real processes with real clocks, behind a proxy, can be made to suffer it."""
    asks_target: ClassVar[bool] = False
    """Whether the nodes' own program carries it out. A program that is started by a command line is never asked."""
    at_once: ClassVar[bool] = False
    """Whether it is over as soon as it has struck, and so has no duration."""
    stops_nodes: ClassVar[bool] = False
    """Whether the nodes that it names are down, or stand still, for as long as it lasts."""
    disturbs: ClassVar[bool] = False
    """Whether it takes nodes away from the majority that single faults leave alone."""
    leaves_behind: ClassVar[bool] = False
    """Whether a node may miss entries for as long as it lasts, and so owes catching up."""

    # ---- as data ---------------------------------------------------------------------------------------------------

    @classmethod
    def kind(cls) -> str:
        """The kind's name, as it stands in a schedule: "kill", "slow_sync"."""
        return str(cls.__struct_config__.tag)

    @classmethod
    def placeholders(cls, *, at_vote: bool) -> list[str]:
        """What may stand for a node; `at_vote`: in a fault that is anchored to a granted vote."""
        return [LEADER, OTHERS]

    def check(self, nodes: Sequence[str]) -> Iterator[str]:
        """What is wrong, a sentence each. `nodes` are the names that may stand in it, placeholders included."""
        yield from ()

    def lasts_us(self, duration_us: int) -> int:
        """How long it lasts, where `duration_us` is asked for."""
        return 0 if self.at_once else duration_us

    def must_wait(self, nodes: Sequence[str], leader: str | None) -> bool:
        """Whether it cannot fire while this node leads, or nobody does."""
        return False

    # ---- drawn from a seed -----------------------------------------------------------------------------------------

    odds: ClassVar[float] = 0.7
    """How probable it is that a plain schedule has faults of the kind."""

    @classmethod
    def plain(cls, rng: Random, timeout_us: int) -> Strength:
        """How strong the kind is in a plain schedule: what a cluster of real processes can live with."""
        return Strength()

    @classmethod
    def wide(cls, rng: Random, timeout_us: int) -> Strength:
        """How strong the kind is in a seed of the swarm: off in some seeds, and very strong in others."""
        return Strength()

    @classmethod
    def often(cls, rng: Random, strength: Any) -> int:
        """How many times as often as others it comes in a seed of the swarm; 0: never."""
        return rng.choice((0, 1))

    @classmethod
    def draw(cls, room: Room) -> Self | None:
        """A fault at a random time; None where there is no room for one."""
        raise NotImplementedError

    def drawn_us(self, room: Room) -> int:
        """How long one that was drawn lasts (µs)."""
        return room.most_us

    def detailed(self, rng: Random, strength: Any) -> Self:
        """The same fault, with details that every fault of the kind draws by itself, those of episodes too."""
        return self

    def disturbed(self, count: int) -> int:
        """How many of `count` nodes are down, stopped or apart, at most."""
        return 0

    @classmethod
    def domain(cls, nodes: Sequence[str], *, longest_us: int, at_vote: bool) -> Domain:
        """Its values among these nodes; it lasts `longest_us` at most."""
        raise NotImplementedError

    # ---- in a run --------------------------------------------------------------------------------------------------

    async def strike(self, at: Strike) -> None:
        """From its moment until it is healed."""
        raise NotImplementedError

    def isolated(self, leader: str | None) -> str | None:
        """The leader that it cuts off, which then leads nobody whatever it reports."""
        return None

    # ---- told ------------------------------------------------------------------------------------------------------

    @classmethod
    def summary(cls, faults: Sequence[tuple[Self, int]], nodes: Sequence[str]) -> Iterator[str]:
        """All faults of the kind in one schedule (with µs that they last), in lines of "kind: ..."."""
        raise NotImplementedError

    # ---- made smaller ----------------------------------------------------------------------------------------------

    def smaller(self) -> Iterator[Self]:
        """The same fault doing less, the boldest first."""
        yield from ()

    def without(self, gone: Sequence[str]) -> Self | None:
        """The fault among the nodes that are left; None if it hit only those that are gone."""
        raise NotImplementedError


class OnNodes(Action, frozen=True):
    """A fault that hits nodes."""

    nodes: list[str]

    def check(self, nodes: Sequence[str]) -> Iterator[str]:
        yield from limits.nodes("action.nodes", self.nodes, nodes)

    def must_wait(self, nodes: Sequence[str], leader: str | None) -> bool:
        return leader is None and (LEADER in self.nodes or OTHERS in self.nodes)

    def hit(self, at: Strike) -> list[str]:
        """The ids of the nodes that it hits."""
        return named(self.nodes, at.nodes, at.leader)

    def smaller(self) -> Iterator[Self]:
        if len(self.nodes) > 1:
            for node in self.nodes:
                yield replace(self, nodes=[other for other in self.nodes if other != node])

    def without(self, gone: Sequence[str]) -> Self | None:
        left = [name for name in self.nodes if name not in gone]
        return replace(self, nodes=left) if left else None


def sums(before: Mapping[Any, Any], after: Mapping[Any, Any], field: str) -> int:
    """By how much the counters of that name have grown, all together."""
    return sum(getattr(after[name], field) - getattr(before[name], field) for name in before)


def some(rng: Random, names: Sequence[Name], count: int) -> list[Name]:
    """`count` of the names, drawn, in the order of the names."""
    return [names[place] for place in sorted(rng.sample(range(len(names)), count))]


def strong(rng: Random, most: float) -> float:
    """Off for two seeds in five, else up to `most`, and never so weak that a fault may pass without being noticed."""
    there, value = rng.random() < 0.6, rng.uniform(most / 6, most)
    return round(value, 4) if there else 0.0
