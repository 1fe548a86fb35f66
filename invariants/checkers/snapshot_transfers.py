"""What a leader owes a follower that it sends a snapshot (§7): for `efficiency`.

A follower that has got a snapshot needs the entries behind it, and the leader has them as long as it does not compact
its log again. If it does so meanwhile, it must send another snapshot, and then another one: where entries come faster
than snapshots arrive, the follower never catches up. So the leader keeps its log from the time when it begins to send a
snapshot until the follower has all entries that were there when the snapshot arrived.

It need not keep them for a follower that turns out to have all of the snapshot already, by entries that were under way,
nor for one that is silent, since that may be dead. `silent_us` is so long that a follower that writes a large snapshot
is not taken for one.
"""

from __future__ import annotations

from dataclasses import dataclass

from raft_chaos.invariants.checkers.messages import INSTALLED
from raft_chaos.invariants.events import Members, MessageReceived, MessageSent


@dataclass(slots=True)
class _Transfer:
    """A snapshot up to entry `index`. Once the follower has acknowledged it, `done` says so, and the leader had at
    least `owed` entries by then. `is_void`: the follower was silent for too long, or did not need it."""

    first: MessageSent
    index: int
    is_void: bool
    done: MessageReceived | None = None
    owed: int = 0


class SnapshotTransfers:
    """Those of one leadership: of `term`, which began at `since_us`."""

    __slots__ = ("_acknowledged", "_heard_us", "_last_index", "_silent_us", "_since_us", "_to", "term")

    def __init__(self, term: int, since_us: int, silent_us: int) -> None:
        self.term = term
        self._since_us = since_us
        self._silent_us = silent_us
        self._last_index = 0
        self._heard_us: dict[str, int] = {}  # by follower, when it acknowledged anything last
        self._acknowledged: dict[str, int] = {}
        self._to: dict[str, _Transfer] = {}

    def use(self, members: Members) -> None:
        """The members change: a leader forgets what it knows about those that leave, and of those alone."""
        for known in (self._heard_us, self._acknowledged, self._to):
            for follower in [one for one in known if not members.includes(one)]:
                del known[follower]

    def has(self, index: int) -> None:
        """The leader has the entry at this index: it has appended it in this term, or sent what follows it. What its
        log had before may have been cut off since."""
        if index > self._last_index:
            self._last_index = index

    def received(self, event: MessageReceived) -> None:
        """An acknowledgement."""
        if event.term != self.term:
            return
        follower = event.sender
        if event.match_index > self._acknowledged.get(follower, 0):
            self._acknowledged[follower] = event.match_index
        transfer = self._to.get(follower)
        if transfer is not None:
            transfer.is_void |= self._is_silent(follower, event.t_us)
            if transfer.done is None and event.match_index >= transfer.index:
                transfer.is_void |= event.type != INSTALLED
                transfer.done, transfer.owed = event, self._last_index
        self._heard_us[follower] = event.t_us

    def sent(self, event: MessageSent) -> tuple[MessageSent, MessageReceived, int] | None:
        """A part of a snapshot. If the follower is owed entries and not another snapshot: the first part of the one
        before it, its acknowledgement, and up to which entry the leader had entries by then."""
        follower, index = event.to, event.prev_log_index
        before, is_silent = self._to.get(follower), self._is_silent(follower, event.t_us)
        if before is not None and index <= before.index:
            return None
        self._to[follower] = _Transfer(event, index, is_silent)
        if before is None or before.done is None or before.is_void or is_silent:
            return None
        if self._acknowledged[follower] >= before.owed:
            return None
        return before.first, before.done, before.owed

    def _is_silent(self, follower: str, now_us: int) -> bool:
        return now_us - self._heard_us.get(follower, self._since_us) >= self._silent_us
