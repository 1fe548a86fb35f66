"""The plot of one steered episode: its faults so far, and what it may draw from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

import msgspec

from raft_chaos.chaos.faults.action import Action
from raft_chaos.chaos.faults.catalogue import FaultKind
from raft_chaos.chaos.faults.grudge import Shape, apart
from raft_chaos.chaos.faults.names import FAR, LEADER, NEAR, OTHERS, PIVOT
from raft_chaos.chaos.faults.partition import Partition
from raft_chaos.chaos.schedule.data import AnchorEvent, Fault, When
from raft_chaos.raft.state.features import Features

SOON_US = 1_000


@dataclass
class Plot:
    """The faults of one episode. `unit` is the longest election timeout (µs), and `even` says whether the number of
    nodes is even. The first step comes at `begin`; each is named `name` and its number. The last step of an episode
    that stands lasts `stands_us`."""

    name: str
    begin: When
    rng: Random
    unit: int
    even: bool
    stands_us: int = 0
    faults: list[Fault] = field(default_factory=list)

    def lasting(self, least: float, most: float) -> int:
        """A drawn time between these many longest election timeouts (µs)."""
        return round(self.rng.uniform(least, most) * self.unit)

    def step(self, action: Action, duration_us: int, when: When | None = None) -> str:
        """Adds a fault, by default at the beginning of the episode; returns its id."""
        name = f"{self.name}-{len(self.faults) + 1}"
        self.faults.append(
            Fault(id=name, when=when or self.begin, action=action, duration_us=action.lasts_us(duration_us))
        )
        return name

    def split(
        self, groups: list[list[str]], duration_us: int, when: When | None = None, shape: Shape = "halves"
    ) -> str:
        """Adds a partition between these groups of nodes and roles; returns its id."""
        return self.step(Partition(shape, apart(groups)), duration_us, when)

    def isolate_leader(self, duration_us: int, when: When | None = None) -> str:
        """Adds a cut of the leader from all others; returns its id."""
        return self.split([[LEADER], [OTHERS]], duration_us, when, "isolate_leader")

    def needs_all(self, of: str, when: When) -> str:
        """Adds the last step of an episode that stands: a smallest majority is left, so each of its nodes is needed.
        They are the leader, pivot and near of when the fault `of` struck; returns its id."""
        return self.split([then(of, LEADER, PIVOT, NEAR), then(of, FAR)], self.stands_us, when)


class Steered(msgspec.Struct, frozen=True):
    """One kind of steered episode.

    `about` says in one line what it brings about, and `source` where that mattered. It consists of faults of `kinds`,
    lasts about `timeouts` longest election timeouts, and `build` adds its steps to a plot.
    """

    name: str
    about: str
    source: str
    kinds: tuple[FaultKind, ...]
    timeouts: int
    build: Callable[[Plot], object]
    one_entry_a_message: bool = False
    """Whether it only succeeds if a message carries one entry."""
    features: tuple[str, ...] = ()
    """The features of the nodes without which it brings nothing about (`raft.state.features`)."""
    not_with: tuple[str, ...] = ()
    """Those with which it brings nothing about."""
    stands: bool = False
    """Whether its last step lasts so long that progress is owed meanwhile (`liveness_under_fault`)."""

    def exists_with(self, features: Features) -> bool:
        """Whether nodes with these features can come into its situation."""
        has_what_it_needs = all(getattr(features, name) for name in self.features)
        return has_what_it_needs and not any(getattr(features, name) for name in self.not_with)


def after(fault: str, after_us: int = 0) -> When:
    """A time after that fault struck."""
    return When(since=fault, after_us=after_us)


def at_next(event: AnchorEvent, fault: str, after_us: int = 0, nth: int = 1) -> When:
    """A time after the next such event since that fault struck."""
    return When(on=event, since=fault, after_us=after_us, nth=nth)


def then(fault: str, *roles: str) -> list[str]:
    """The nodes that had these roles when that fault struck."""
    return [f"{role}@{fault}" for role in roles]
