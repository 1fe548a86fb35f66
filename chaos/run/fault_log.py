"""The fault book: what a nemesis has begun, what was seen of it, and the words in which both are told.

    span = book.begin(fault, nodes, leader)     before anything is done: from now on the fault touches these nodes
    book.injected(span, pausing(nodes))         it is in force
    book.healed(span, paused(nodes, stopped))   it is over, and this was seen of it

Every world keeps the same book, so the same fault is told in the same way and excused for the same reasons. A fault
whose effect was not seen makes a run vacuous, unless another fault left it nothing to do: a link cut to a node that is
down carries no frame to hold back. Such a fault is reported as moot, with the name of the other; so is one that the end
of the safety phase cut short.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from raft_chaos.chaos.faults.actions import (
    LEADER,
    OTHERS,
    Action,
    Clock,
    Clog,
    Kill,
    Network,
    Partition,
    Pause,
    Shape,
    SlowSync,
    kind_of,
)
from raft_chaos.chaos.faults.grudge import cut_links, resolve
from raft_chaos.chaos.schedule.data import Fault
from raft_chaos.invariants.events import HARNESS, FaultHealed, FaultInjected, HarnessEvent

_TOUCHING = (Kill, Pause, Partition)
"""Kinds after which a node may be behind for as long as the fault lasted, and so owes catching up."""


@dataclass(frozen=True)
class Seen:
    """What was seen of a fault: its effect in words, and whether all that it was to do was done.

    `excuse` says what there was not, where a world knows that there was nothing for the fault to act on.
    """

    effective: bool
    effect: str
    excuse: str = ""


@dataclass
class Span:
    """From when to when (µs; None: still) a fault touches which nodes. `leader` is the one when it fired, if known."""

    fault: Fault
    nodes: tuple[str, ...]
    leader: str | None
    from_us: int
    to_us: int | None = None

    def meets(self, other: Span) -> bool:
        """Whether the two touch one node at one time."""
        return (
            not set(self.nodes).isdisjoint(other.nodes)
            and (self.to_us is None or other.from_us <= self.to_us)
            and (other.to_us is None or self.from_us <= other.to_us)
        )


class FaultBook:
    """The faults of one run. Tells time by `now_us`, and hands the harness's events to `report`."""

    def __init__(self, nodes: Sequence[str], now_us: Callable[[], int], report: Callable[[HarnessEvent], None]) -> None:
        self._nodes = list(nodes)
        self._now_us = now_us
        self._report = report
        self._spans: list[Span] = []
        self._isolated: dict[str, str] = {}  # fault id -> the leader that it isolates
        self._touched: set[str] = set()
        self.current: dict[str, str] = {}
        """Fault id -> what it does, for those in force."""

    # ---- what is written down -------------------------------------------------------------------------------------

    def begin(self, fault: Fault, nodes: Sequence[str], leader: str | None) -> Span:
        """The fault is about to hit these nodes; its span lasts until `healed`."""
        span = Span(fault, tuple(nodes), leader, self._now_us())
        self._spans.append(span)
        return span

    def injected(self, span: Span, detail: str, targets: Sequence[str] | None = None) -> None:
        """The fault is in force. `targets` are the nodes that it really hit, if not all those of its span."""
        fault, action = span.fault, span.fault.action
        hit = span.nodes if targets is None else tuple(targets)
        if isinstance(action, _TOUCHING):
            self._touched.update(hit)
        if isinstance(action, Partition) and action.shape == "isolate_leader" and span.leader is not None:
            self._isolated[fault.id] = span.leader
        self.current[fault.id] = detail
        self._report(
            FaultInjected(
                node=HARNESS,
                inc=1,
                t_us=self._now_us(),
                fault=fault.id,
                type=kind_of(action),
                targets=hit,
                detail=detail,
                leader=span.leader,
            )
        )

    def healed(self, span: Span, seen: Seen) -> None:
        """The fault is over. Without effect, it is excused by another fault or by the end of the safety phase."""
        fault = span.fault
        span.to_us = self._now_us()
        self._isolated.pop(fault.id, None)
        self.current.pop(fault.id, None)
        self._report(
            FaultHealed(
                node=HARNESS,
                inc=1,
                t_us=span.to_us,
                fault=fault.id,
                type=kind_of(fault.action),
                effective=seen.effective,
                effect=seen.effect,
                moot="" if seen.effective else seen.excuse or self._others(span) or _cut_short(span),
            )
        )

    def _others(self, span: Span) -> str:
        """The faults that touched one of its nodes at the same time."""
        return " ".join(other.fault.id for other in self._spans if other is not span and other.meets(span))

    # ---- what is asked --------------------------------------------------------------------------------------------

    @property
    def touched(self) -> list[str]:
        """The nodes that were killed, paused or cut off so far, in the order of the cluster's nodes."""
        return [node for node in self._nodes if node in self._touched]

    def isolates(self, node: str) -> bool:
        """Whether a fault in force isolates the node as the leader: it then leads nobody, whatever it reports."""
        return node in self._isolated.values()

    def must_wait(self, action: Action, leader: str | None) -> bool:
        """Whether the action cannot fire while this node leads, or nobody does.

        It may need a leader. And a cut that leaves all links of the leader alone would hold nothing back, since
        followers have nothing to say to each other: it waits for an election.
        """
        if not isinstance(action, Partition | Clog):
            return leader is None and (LEADER in action.nodes or OTHERS in action.nodes)
        if leader is None:
            return not resolve(action.grudge, self._nodes, None)
        links = cut_links(resolve(action.grudge, self._nodes, leader))
        return not any(leader in link for link in links)

    def named(self, names: Sequence[str], leader: str | None) -> list[str]:
        """The nodes that are meant; each once, in the order in which they are first named."""
        nodes: list[str] = []
        for name in names:
            if name == OTHERS:
                nodes += [node for node in self._nodes if node != leader]
            else:
                nodes.append(leader if name == LEADER and leader is not None else name)
        return list(dict.fromkeys(nodes))


def _cut_short(span: Span) -> str:
    """An anchored fault may fire so late that it is healed before anybody can have noticed it."""
    assert span.to_us is not None
    return "end of the safety phase" if span.to_us - span.from_us < span.fault.duration_us else ""


# ---- the words: for each kind what it does, and what was seen of it -----------------------------------------------


def killing(nodes: Sequence[str], failpoint: str | None = None) -> str:
    return f"kill {' '.join(nodes)}" + (f", {failpoint}" if failpoint else "")


def killed(hit: Sequence[str], back: Sequence[str]) -> Seen:
    """`hit`: those that were running and are gone; `back`: those of them of which a new incarnation runs."""
    effect = f"killed {' '.join(hit) or 'nothing'}, new incarnation of {' '.join(back) or 'none'}"
    return Seen(bool(hit) and list(back) == list(hit), effect)


def pausing(nodes: Sequence[str]) -> str:
    return f"pause {' '.join(nodes)}"


def paused(nodes: Sequence[str], stopped: Sequence[str]) -> Seen:
    return Seen(list(stopped) == list(nodes), f"seen stopped: {' '.join(stopped) or 'none'}")


def slowing(nodes: Sequence[str], action: SlowSync) -> str:
    return f"syncs of {' '.join(nodes)} take {action.min_us / 1000:g} to {action.max_us / 1000:g} ms longer"


def slowed(syncs: int, writes: int | None = None) -> Seen:
    """How many syncs were slowed, of how many writes if that is known."""
    return Seen(syncs > 0, f"{syncs} syncs slowed", "nothing was written" if writes == 0 else "")


def cutting(shape: Shape, grudge: Mapping[str, Sequence[str]]) -> str:
    return f"{shape}: " + ", ".join(f"{node} hears not {' '.join(grudge[node])}" for node in grudge)


def cut(grudge: Mapping[str, Sequence[str]], held: Mapping[tuple[str, str], int]) -> Seen:
    """`held`: how many frames were held back on each (sender, receiver) of the grudge. Each direction must show one."""
    silent = [
        f"{' '.join(senders)} > {' '.join(receivers)}"
        for senders, receivers in _directions(grudge)
        if not any(held[sender, receiver] for sender in senders for receiver in receivers)
    ]
    effect = f"{sum(held.values())} frames held back" + (f", none {'; '.join(silent)}" if silent else "")
    return Seen(not silent, effect)


def degrading(nodes: Sequence[str], action: Network) -> str:
    on_top = f" and {action.delay_mean_us / 1000:g} ms more on average" if action.delay_mean_us else ""
    return (
        f"{' '.join(nodes)}: delay {action.delay_min_us / 1000:g} to {action.delay_max_us / 1000:g} ms{on_top}, "
        f"loss {action.loss:.0%}, duplicate {action.duplicate:.0%}, reorder {action.reorder:.0%}"
    )


def degraded(*, delayed: int, lost: int, duplicated: int, reordered: int) -> Seen:
    """How many frames suffered which way."""
    seen = any((delayed, lost, duplicated, reordered))
    return Seen(seen, f"frames: {delayed} delayed, {lost} lost, {duplicated} duplicated, {reordered} reordered")


def clogging(grudge: Mapping[str, Sequence[str]]) -> str:
    return "clog: " + ", ".join(f"{node} waits for {' '.join(grudge[node])}" for node in grudge)


def clogged(held: int, passed: int) -> Seen:
    """How many frames were held, and how many went by all the same."""
    excuse = "nothing was sent" if held + passed == 0 else ""
    return Seen(held > 0, f"{held} frames held and let go at once", excuse)


def resetting(nodes: Sequence[str]) -> str:
    return f"reset the connections of {' '.join(nodes)}"


def reset(arrived: int, lost: int, passed: int) -> Seen:
    """What became of the frames in flight; `passed` went by while it waited for some."""
    excuse = "nothing was sent" if arrived + lost + passed == 0 else ""
    return Seen(arrived + lost > 0, f"frames in flight: {arrived} delivered, {lost} lost", excuse)


def bending(nodes: Sequence[str], action: Clock) -> str:
    return f"clocks of {' '.join(nodes)} jump by {action.jump_us / 1000:g} ms and gain {action.rate_ppm / 10_000:g} %"


def bent(gained_us: int) -> Seen:
    return Seen(gained_us != 0, f"gained {gained_us / 1000:g} ms")


def _directions(grudge: Mapping[str, Sequence[str]]) -> list[tuple[list[str], list[str]]]:
    """(senders, receivers) for each direction of a cut: receivers that are denied the same senders form one."""
    directions: dict[tuple[str, ...], list[str]] = {}
    for receiver, senders in grudge.items():
        directions.setdefault(tuple(sorted(senders)), []).append(receiver)
    return [(list(senders), receivers) for senders, receivers in directions.items()]
