"""One directed link of the switch: what happens to each packet on it.

The kernels of the nodes make up for what is lost, doubled or late, as on any network: their programs see a TCP that is
slow, or stands still. A cut drops every packet, also delayed ones that come due during the cut, and so also the answers
that TCP needs to go on in the other direction. A clogged link keeps its packets and lets go of them at the end.

What waits has a limit, as in every switch: a packet that finds no room is lost.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable

from raft_chaos.chaos.run.live.network.rules import LinkRule
from raft_chaos.chaos.run.live.network.wire import TICK_S, UNHARMED, ByteCounters, Wire

WAITING_BYTES = 4 * 1024 * 1024


class PacketLink(Wire):
    """`out` sends a packet to the receiver; it returns whether there was room for it."""

    counters: ByteCounters

    def __init__(self, sender: str, receiver: str, seed: int, out: Callable[[bytes], bool]) -> None:
        super().__init__(sender, receiver, seed)
        self.counters = ByteCounters()
        self._out = out
        self._loop = asyncio.get_running_loop()
        self._waiting: list[tuple[float, int, bytes]] = []  # a heap: due (s), position in the order of arrival, packet
        self._waiting_bytes = 0
        self._arrivals = 0
        self._in_order_until = 0.0  # when the last of the packets that keep their order is due
        self._free_at = 0.0  # when the link has room for the next one, if it is slow
        self._timer: asyncio.TimerHandle | None = None

    def take(self, packet: bytes) -> None:
        """Decides what happens to one packet."""
        self.messages += 1
        rule = self.rule
        if rule is None and not self._waiting:
            self._pass(packet)
        elif rule is not None and rule.cut:
            self.counters.held(rule, len(packet))
        else:
            self._disturb(rule, packet)

    def rule_changed(self) -> None:
        self._release()

    def _disturb(self, rule: LinkRule | None, packet: bytes) -> None:
        counters = self.counters
        fate = UNHARMED if rule is None else self.fate(rule)
        if fate.lost:
            counters.lost += 1
            return
        if rule is not None and rule.clogged:
            counters.held(rule, len(packet))
        counters.delayed += fate.delay_us > 0
        due = self._loop.time() + fate.delay_us / 1e6
        if rule is not None and rule.bytes_per_s:
            due = self._free_at = max(due, self._free_at) + len(packet) / rule.bytes_per_s
            counters.throttled += due > self._loop.time() + TICK_S
        if fate.reordered:
            counters.reordered += 1
        else:
            due = self._in_order_until = max(due, self._in_order_until)
        self._wait(packet, due)
        if fate.copy_after_us is not None:
            counters.duplicated += 1
            self._wait(packet, due + fate.copy_after_us / 1e6)
        self._release()

    def _wait(self, packet: bytes, due: float) -> None:
        if self._waiting_bytes + len(packet) > WAITING_BYTES:
            self.counters.lost += 1
            return
        self._arrivals += 1
        self._waiting_bytes += len(packet)
        heapq.heappush(self._waiting, (due, self._arrivals, packet))

    def _release(self) -> None:
        """Lets go of what is due, unless the link holds it, and sets the timer for the next."""
        rule, now = self.rule, self._loop.time() + TICK_S
        clogged = rule is not None and rule.clogged and not rule.cut
        while self._waiting and self._waiting[0][0] <= now and not clogged:
            _, _, packet = heapq.heappop(self._waiting)
            self._waiting_bytes -= len(packet)
            if rule is not None and rule.cut:
                self.counters.held(rule, len(packet))
            else:
                self._pass(packet)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._waiting and not clogged:
            self._timer = self._loop.call_at(self._waiting[0][0], self._release)

    def _pass(self, packet: bytes) -> None:
        if self._out(packet):
            self.counters.forwarded += 1
            self.counters.forwarded_bytes += len(packet)
        else:
            self.counters.lost += 1
