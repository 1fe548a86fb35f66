"""The simulated network: what happens to each frame on each directed link.

Without a fault a frame takes its base latency. A cut drops frames, also those that come due during the cut, as in the
live proxy. A clog holds frames and later releases all at once. A network fault delays, loses, duplicates and reorders
frames. A reset loses the frames in flight or delivers them at once. Bits of a frame flip as it arrives; if its receiver
refuses it, what is in flight on the link is lost with the connection. Several faults may hit one link: any cut cuts it,
any clog holds it, delays add up, and the largest of the probabilities counts.

Frames keep their order unless a draw says otherwise. Copies and reordered frames are mostly a little late and seldom
very late: late enough to meet another leader. Each draw is keyed by the link and the frame's number on it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import log
from typing import Any

import msgspec

from raft_chaos.chaos.faults.corrupt import FLIP_DRAWS, places
from raft_chaos.chaos.faults.links import Degraded, LinkCounters, LinkState
from raft_chaos.chaos.faults.links import Link as LinkName
from raft_chaos.chaos.run.sim.draws import Draws
from raft_chaos.chaos.run.sim.frame import Frame
from raft_chaos.chaos.run.sim.priorities import Priorities, Priority
from raft_chaos.chaos.run.sim.scheduler import Action, Due, Scheduler
from raft_chaos.chaos.schedule.data import SimModel

LATE_US = (1_000, 50_000)
VERY_LATE_US = (50_000, 3_000_000)
VERY_LATE_SHARE = 0.15
"""How late a copy or a reordered frame arrives; the lateness of very late ones is drawn on a log scale."""


class Link:
    """One directed link: the faults in force on it, and the number of its frames.

    Draws are numbered by frame: one of `latencies`, uniform in [0, 1), and seven of `fates`: loss, delay, mean delay,
    copy, its lateness, reorder, its lateness. Those of `bits` are numbered by arrival.
    """

    __slots__ = (
        "bits",
        "clog",
        "connection",
        "corrupt",
        "counters",
        "cut",
        "duplicate",
        "fates",
        "frames",
        "held",
        "in_order_until_us",
        "latencies",
        "loss",
        "name",
        "reorder",
        "rules",
    )

    def __init__(self, sender: str, receiver: str, seed: int) -> None:
        self.name = (sender, receiver)
        self.frames = 0
        self.cut = False
        self.clog = False
        self.rules: tuple[Degraded, ...] = ()
        self.loss = self.duplicate = self.reorder = 0.0  # the largest of the rules'
        self.corrupt = 0.0
        self.connection = 0
        self.held: list[Frame] = []
        self.counters = LinkCounters()
        self.in_order_until_us = 0
        self.draw_from(seed)

    def draw_from(self, seed: int) -> None:
        """What happens to the next frames is drawn from this seed."""
        sender, receiver = self.name
        self.latencies: Draws | Priority = Draws(seed, f"network/{sender}>{receiver}/latency", 1)
        self.fates = Draws(seed, f"network/{sender}>{receiver}/fate", 7)
        self.bits = Draws(seed, f"network/{sender}>{receiver}/bits", FLIP_DRAWS)

    def put_in_force(self, state: LinkState) -> None:
        """Merges several faults: delays add up, and the largest of the probabilities counts."""
        self.cut, self.clog, self.corrupt = state.cut, state.clogged, state.corrupt
        rules = self.rules = state.degraded
        self.loss = max((rule.loss for rule in rules), default=0.0)
        self.duplicate = max((rule.duplicate for rule in rules), default=0.0)
        self.reorder = max((rule.reorder for rule in rules), default=0.0)


class SimNetwork:
    """All directed links between `nodes`. `deliver(frame)` is called for each frame at the moment of its arrival."""

    def __init__(
        self, nodes: list[str], seed: int, model: SimModel, scheduler: Scheduler, deliver: Callable[[Frame], None]
    ) -> None:
        self.links = {(a, b): Link(a, b, seed) for a in nodes for b in nodes if a != b}
        self._seed = seed
        self._scheduler = scheduler
        self._deliver = deliver
        self._arrives: Action = self._arrive  # each mention of a method makes an object
        self._latency_us = model.latency_min_us
        self._latency_spread_us = model.latency_max_us - model.latency_min_us

    @property
    def arrivals(self) -> int:
        """How many frames have reached their receiver's machine."""
        return sum(link.counters.forwarded for link in self.links.values())

    def arrivals_of(self, nodes: Sequence[str]) -> int:
        """How many of them came from one of the nodes, or were for one."""
        touching = (link for (sender, to), link in self.links.items() if sender in nodes or to in nodes)
        return sum(link.counters.forwarded for link in touching)

    # ---- frames ---------------------------------------------------------------------------------------------------

    def send(self, sender: str, sender_inc: int, to: str, number: int, payload: Any) -> None:
        """A frame leaves its sender; decides at once what happens to it."""
        link = self.links[sender, to]
        link.frames += 1
        if link.cut:
            link.counters.cut += 1
            return
        frame = Frame(sender, sender_inc, number, to, payload, link, connection=link.connection)
        latency_us = self._latency_us + int(self._latency_spread_us * link.latencies.one(link.frames))
        due_us = self._scheduler.now_us + latency_us
        if link.rules:
            self._suffer(frame, link, due_us)
            return
        if due_us < link.in_order_until_us:
            due_us = link.in_order_until_us
        link.in_order_until_us = due_us
        self._scheduler.at(due_us, self._arrives, frame)

    def _suffer(self, frame: Frame, link: Link, due_us: int) -> None:
        """Applies the rules in force to a frame: it may be lost, late, out of order, duplicated."""
        loss, delay, mean, copy, copy_late, reorder, reorder_late = link.fates.of(link.frames)
        counters = link.counters
        if loss < link.loss:
            counters.lost += 1
            return
        delay_us = 0
        for rule in link.rules:
            delay_us += rule.delay_min_us + int((rule.delay_max_us - rule.delay_min_us) * delay)
            if rule.delay_mean_us:
                delay_us += int(-rule.delay_mean_us * log(1.0 - mean))
        counters.delayed += delay_us > 0
        due_us += delay_us
        if reorder < link.reorder:
            counters.reordered += 1
            due_us += _late_us(reorder_late)
        else:
            due_us = link.in_order_until_us = max(due_us, link.in_order_until_us)
        self._scheduler.at(due_us, self._arrives, frame)
        if copy < link.duplicate:
            counters.duplicated += 1
            again = msgspec.structs.replace(frame)
            self._scheduler.at(due_us + _late_us(copy_late), self._arrives, again)

    def _arrive(self, frame: Frame) -> None:
        link = frame.link
        if frame.void or (frame.connection != link.connection and self.is_lost(frame)):
            return
        if link.cut:
            link.counters.cut += 1
        elif link.clog or link.held:  # or behind frames that are about to be released
            link.counters.clogged += 1
            link.held.append(frame)
        else:
            link.counters.forwarded += 1
            if link.corrupt:
                frame.flips = places(link.bits.of(link.counters.forwarded), link.corrupt)
                link.counters.corrupted += bool(frame.flips)
            self._deliver(frame)

    # ---- connections ----------------------------------------------------------------------------------------------

    def refused(self, frame: Frame) -> None:
        """The receiver refused the frame: it closes the connection, and the sender opens the next one."""
        link = frame.link
        link.counters.refused += 1
        link.connection += 1
        link.in_order_until_us = self._scheduler.now_us

    def is_lost(self, frame: Frame) -> bool:
        """Whether the frame is lost because its connection has been closed; counts it."""
        if frame.connection == frame.link.connection:
            return False
        frame.link.counters.lost += 1
        return True

    # ---- where draws come from ------------------------------------------------------------------------------------

    def draw_from(self, seed: int) -> None:
        """What happens to the next frames is drawn from this seed."""
        self._seed = seed
        for link in self.links.values():
            link.draw_from(seed)

    def deliver_by_priority(self, depth: int, until_us: int) -> None:
        """The latencies of the next frames follow priorities, which change `depth` - 1 times before `until_us`."""
        priorities = Priorities(list(self.links), self._latency_spread_us, self._seed, depth, until_us, self._scheduler)
        for name, link in self.links.items():
            link.latencies = priorities.of[name]

    # ---- faults ---------------------------------------------------------------------------------------------------

    def set_links(self, states: Mapping[LinkName, LinkState]) -> None:
        """Sets the states of these links from now on; other links keep theirs."""
        for name, state in states.items():
            link = self.links[name]
            was_clogged = link.clog
            link.put_in_force(state)
            if was_clogged and not link.clog:
                self._scheduler.at(self._scheduler.now_us, self._let_go, link)

    def reset(self, fault: str, nodes: Sequence[str], delivered: float) -> tuple[int, int]:
        """The connections of `nodes` break: each frame in flight arrives now with probability `delivered`, or never.

        Returns how many arrived, and how many were lost.
        """
        in_flight = sorted(self.in_flight(nodes))
        draws = Draws(self._seed, f"network/reset/{fault}", 1)
        arrived = 0
        for place, (_, _, _, frame) in enumerate(in_flight):
            frame.void = True
            if draws.one(place) < delivered:
                arrived += 1
                again = msgspec.structs.replace(frame, void=False)
                self._scheduler.at(self._scheduler.now_us, self._arrives, again)
            else:
                frame.link.counters.lost += 1
        for name, link in self.links.items():
            if name[0] in nodes or name[1] in nodes:
                link.in_order_until_us = self._scheduler.now_us
        return arrived, len(in_flight) - arrived

    def in_flight(self, nodes: Sequence[str]) -> list[Due]:
        """The scheduled arrivals of all frames on their way to or from one of the nodes."""
        arrives = self._arrives
        return [due for due in self._scheduler.heap if due[2] is arrives and _touches(due[3], nodes)]

    def counters(self) -> dict[LinkName, LinkCounters]:
        """What happened to the frames of each link so far."""
        return {name: msgspec.structs.replace(link.counters) for name, link in self.links.items()}

    def _let_go(self, link: Link) -> None:
        held, link.held = link.held, []
        for frame in held:
            self._arrive(frame)


def _touches(frame: Frame, nodes: Sequence[str]) -> bool:
    is_in_flight = not frame.void and frame.connection == frame.link.connection
    return is_in_flight and (frame.sender in nodes or frame.to in nodes)


def _late_us(draw: float) -> int:
    """The lateness for one uniform draw: uniform for most frames, log-uniform for the very late share."""
    if draw >= VERY_LATE_SHARE:
        least, most = LATE_US
        return least + int((most - least) * (draw - VERY_LATE_SHARE) / (1 - VERY_LATE_SHARE))
    least, most = VERY_LATE_US
    return int(least * (most / least) ** (draw / VERY_LATE_SHARE))
