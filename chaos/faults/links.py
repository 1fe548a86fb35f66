"""Directed links: the merged effect of several faults on one link, and the capabilities that a world needs for it.

Any cut cuts a link, any clog holds its frames, and all degradations apply together.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import ClassVar, NamedTuple, Protocol, Self, TypeAlias, runtime_checkable

import msgspec
from msgspec.structs import replace

from raft_chaos.chaos.faults import limits
from raft_chaos.chaos.faults.action import Action
from raft_chaos.chaos.faults.grudge import Grudge, cut_links, names_in, resolve
from raft_chaos.chaos.faults.names import LEADER, Roles, around, unknown
from raft_chaos.chaos.faults.strike import Layer, Signal

Link: TypeAlias = tuple[str, str]
"""A directed link: (sender, receiver)."""


class Degraded(msgspec.Struct, frozen=True):
    """The degradation of a link: probabilities from 0 to 1, delays in µs. A delay is uniform from `delay_min_us` to
    `delay_max_us`, plus an exponential one with mean `delay_mean_us`."""

    delay_min_us: int = 0
    delay_max_us: int = 0
    loss: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0
    delay_mean_us: int = 0


class LinkState(msgspec.Struct, frozen=True):
    """The faults in force on one directed link. `cut` drops frames, `clogged` holds them, `degraded` are all its
    degradations: delays add up, and the largest of the probabilities counts. `bytes_per_s` is the most that it carries;
    0: no limit. `corrupt` is the probability that bits of a frame flip."""

    cut: bool = False
    clogged: bool = False
    degraded: tuple[Degraded, ...] = ()
    bytes_per_s: int = 0
    corrupt: float = 0.0


def _merged(states: Sequence[LinkState]) -> LinkState:
    return LinkState(
        cut=any(state.cut for state in states),
        clogged=any(state.clogged for state in states),
        degraded=tuple(one for state in states for one in state.degraded),
        bytes_per_s=min((state.bytes_per_s for state in states if state.bytes_per_s), default=0),
        corrupt=max((state.corrupt for state in states), default=0.0),
    )


LINKS: Layer[LinkState] = Layer("links", _merged)


class Traffic(NamedTuple):
    """What a network's links carry, as its counters count it: `unit` is the plural of its name, and `suffers` are the
    counters of what a degradation can do to it there."""

    unit: str
    suffers: tuple[str, ...] = ("delayed", "lost", "duplicated", "reordered")


FRAMES = Traffic("frames")
TRAFFIC: dict[str, Traffic] = {
    "frames": FRAMES,
    "tcp": Traffic("pieces", ("delayed",)),
    "netns": Traffic("packets"),
    "messages": Traffic("messages"),
    "none": FRAMES,
}
"""For each network between real processes. A stream of bytes comes in pieces, and loses none while both ends live."""


class LinkCounters(msgspec.Struct):
    """Frames (or what else the links carry) on one directed link since the run began.

    `forwarded` frames reached the receiver (copies included), a cut held `cut` back, a draw or the end of a connection
    lost `lost`, a clog held `clogged`, a limit of the speed made `throttled` wait; `delayed`, `duplicated` and
    `reordered` count the draws. Bits of `corrupted` ones had flipped when they reached the receiver, which closed the
    connection because of `refused` ones.
    """

    forwarded: int = 0
    cut: int = 0
    lost: int = 0
    delayed: int = 0
    duplicated: int = 0
    reordered: int = 0
    clogged: int = 0
    throttled: int = 0
    corrupted: int = 0
    refused: int = 0


@runtime_checkable
class Links(Protocol):
    """A world whose links can be cut and degraded."""

    @property
    def links(self) -> Sequence[Link]: ...
    @property
    def heartbeats(self) -> bool:
        """Whether the nodes send to each other all the time, and not only when they are asked."""
        ...

    @property
    def traffic(self) -> Traffic:
        """What the links carry."""
        ...

    def set_links(self, states: Mapping[Link, LinkState]) -> None:
        """Sets the states of these links, which are in force when this returns. Other links keep theirs."""
        ...

    def link_counters(self) -> Mapping[Link, LinkCounters]: ...


@runtime_checkable
class Clogs(Protocol):
    """A world whose links can also hold frames and release them."""

    @property
    def traffic(self) -> Traffic: ...
    def set_links(self, states: Mapping[Link, LinkState]) -> None: ...
    def clog_counters(self) -> Mapping[Link, LinkCounters]: ...


@runtime_checkable
class Throttles(Protocol):
    """A world whose links can also be slow."""

    @property
    def traffic(self) -> Traffic: ...
    def set_links(self, states: Mapping[Link, LinkState]) -> None: ...
    def throttle_counters(self) -> Mapping[Link, LinkCounters]: ...


class Broken(NamedTuple):
    """What a reset has broken: whether there was anything, and what."""

    any: bool
    what: str


@runtime_checkable
class Resets(Protocol):
    """A world whose connections can be broken."""

    def reset(self, fault: str, nodes: Sequence[str], delivered: float) -> Broken:
        """Breaks all connections of the nodes, once `watch_traffic` has seen some. Where there is a choice, each frame
        in flight arrives at once with probability `delivered`, or never."""
        ...

    def watch_traffic(self, nodes: Sequence[str], for_us: int, seen: Signal) -> None:
        """Sets the signal as soon as there is something to break: a frame to or from one of the nodes in flight, or a
        connection. Gives up after `for_us`, or once somebody else sets the signal."""
        ...

    def arrivals(self, nodes: Sequence[str]) -> int:
        """How many frames to or from these nodes have reached a receiver since the run began."""
        ...


def no_members(outsiders: Sequence[str]) -> str:
    """The excuse of a fault on the network of these nodes alone: a cluster sends nothing to who is no member (§6)."""
    return f"no members of the cluster: {' '.join(outsiders)}"


class OnLinks(Action, frozen=True):
    """A fault on the links of a grudge."""

    @property
    def denied(self) -> Grudge:
        raise NotImplementedError

    def along(self, grudge: Grudge) -> Self:
        """The same fault along another grudge."""
        return replace(self, grudge=grudge)

    disturbs: ClassVar[bool] = True

    def check(self, nodes: Sequence[str]) -> Iterator[str]:
        yield from limits.nodes("action.grudge", list(self.denied), nodes)
        for receiver, senders in self.denied.items():
            yield from limits.nodes(f"action.grudge.{receiver}", senders, nodes)

    def must_wait(self, nodes: Sequence[str], roles: Roles, outsiders: Collection[str] = ()) -> bool:
        """A cut that leaves all links of the leader alone would hold nothing back, since followers send nothing to each
        other: it waits for an election. Links of who is no member carry nothing either, so they do not count beside
        others."""
        if unknown(self.names, roles):
            return True
        links = cut_links(resolve(self.denied, list(nodes), roles))
        counted = [link for link in links if not {*link}.intersection(outsiders)] or links
        return any(all(leader not in link for link in counted) for leader in roles.get(LEADER, ()))

    @property
    def names(self) -> list[str]:
        return names_in(self.denied)

    def placed(self, leader: str, nodes: Sequence[str]) -> Self:
        return self.along(resolve(self.denied, list(nodes), around(leader, nodes)))

    def smaller(self) -> Iterator[Self]:
        """Fewer directions are cut. The name of the shape stays, since it says how the fault was drawn."""
        if len(self.denied) > 1:
            for receiver in self.denied:
                yield self.along({other: senders for other, senders in self.denied.items() if other != receiver})

    def without(self, gone: Sequence[str]) -> Self | None:
        left = {
            receiver: [sender for sender in senders if sender not in gone]
            for receiver, senders in self.denied.items()
            if receiver not in gone
        }
        left = {receiver: senders for receiver, senders in left.items() if senders}
        return self.along(left) if left else None
