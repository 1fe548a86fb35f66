"""One directed link in the process of a network: its rule, its counters, and the draws for each message on it.

A message is a frame, a packet, or a piece of a stream. Its draws come from a stream of random numbers that is named by
link and number ("network/n1>n3/812"), those for flipped bits by how many messages came through before. So a rule that
starts earlier or later does not change the draws of the messages that it applies to.
"""

from __future__ import annotations

from math import log
from typing import NamedTuple

from raft_chaos.chaos.faults.corrupt import FLIP_DRAWS, flipped, places
from raft_chaos.chaos.faults.links import LinkCounters
from raft_chaos.chaos.run.live.network.rules import LinkRule
from raft_chaos.chaos.schedule.streams import stream

REORDER_US = (5_000, 50_000)
"""How much longer than its delay a reordered message takes: long enough for later ones to overtake it."""
DUPLICATE_US = (1_000, 10_000)
"""How much later than the message its copy arrives."""
LATE_MEANS = 3
"""The least delay of a reordered message, in means of the delay: 95 % of the other messages come sooner."""
TICK_S = 0.001
"""Event loops count in milliseconds: a message that is due within the next one is due now."""


class Fate(NamedTuple):
    """The draws for one message. `copy_after_us` counts from the message itself; None: no copy."""

    lost: bool
    delay_us: int
    copy_after_us: int | None
    reordered: bool


UNHARMED = Fate(lost=False, delay_us=0, copy_after_us=None, reordered=False)


class ByteCounters(LinkCounters):
    """What happened on a link that does not know messages: pieces of a stream, or packets.

    `forwarded_bytes` went on to the receiver; `held_bytes` came while the link was cut or clogged, or were due then.
    """

    forwarded_bytes: int = 0
    held_bytes: int = 0

    def held(self, rule: LinkRule, size: int) -> None:
        """Counts a piece of this size that the rule holds back."""
        if rule.cut:
            self.cut += 1
        else:
            self.clogged += 1
        self.held_bytes += size


class Wire:
    """The state of one directed link, across its connections. `target` is the receiver's port, where one is needed;
    `is_leaving` says that the receiver is being ended, and its connections with it."""

    def __init__(self, sender: str, receiver: str, seed: int) -> None:
        self.name = f"{sender}>{receiver}"
        self._seed = seed
        self.target: int | None = None
        self.is_leaving = False
        self.rule: LinkRule | None = None
        self.messages = 0
        self.counters: LinkCounters = LinkCounters()

    def rule_changed(self) -> None:
        """The link has another rule now: lets go of what the last one held, if this one does not."""

    def ended_by_receiver(self, *, corrupted: bool) -> None:
        """The receiver has ended a connection; `corrupted`: what it got had flipped bits. Then it refuses that, unless
        it has not ended the connection itself: the end of a process looks the same."""
        self.counters.refused += corrupted and not self.is_leaving

    def crossed(self, sent: bytes) -> bytes:
        """What reaches the receiver of the latest message that was forwarded: perhaps some of its bits have flipped."""
        if self.rule is None or not self.rule.corrupt:
            return sent
        rng = stream(self._seed, f"network/{self.name}/bits/{self.counters.forwarded}")
        at = places([rng.random() for _ in range(FLIP_DRAWS)], self.rule.corrupt)
        self.counters.corrupted += bool(at)
        return flipped(sent, at) if at else sent

    def fate(self, rule: LinkRule) -> Fate:
        """Draws for the latest message. It always makes all draws, in one order: no probability shifts another draw."""
        rng = stream(self._seed, f"network/{self.name}/{self.messages}")
        lost = rng.random() < rule.loss
        delay_us = rng.randint(rule.delay_min_us, rule.delay_max_us)
        duplicated, copy_after_us = rng.random() < rule.duplicate, rng.randint(*DUPLICATE_US)
        reordered, later_us = rng.random() < rule.reorder, rng.randint(*REORDER_US)
        mean_us = int(-rule.delay_mean_us * log(1.0 - rng.random()))
        if reordered:  # likely to arrive after the messages sent right after it
            delay_us, mean_us = rule.delay_max_us + later_us, max(mean_us, LATE_MEANS * rule.delay_mean_us)
        return Fate(lost, delay_us + mean_us, copy_after_us if duplicated else None, reordered)
