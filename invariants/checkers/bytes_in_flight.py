"""How many bytes of commands a leader has on their way to one follower (thesis, §10.2.2): for `efficiency`.

A leader sends entries without waiting for the answers to those before, up to a limit in bytes: whatever a follower that
is slow or dead is owed then takes no more memory. It sends the next message if fewer bytes than that are on their way;
so at most one message goes beyond it.

On their way is what it has sent and the follower has not acknowledged. All of that is void when it sends what comes
before what it has sent already: then a rejection has moved it back, and it sends all of that again.

What a message holds is known from its report, but for its last entry. So it counts as acknowledged as soon as its first
entry may be.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from raft_chaos.invariants.events import MessageReceived, MessageSent


@dataclass(slots=True)
class _To:
    """The messages to one follower that are on their way, by the entry before theirs; all have commands."""

    sent: dict[int, MessageSent] = field(default_factory=dict)
    size: int = 0
    prev_log_index: int = 0
    """Of the last message."""
    match_index: int = 0

    def void(self) -> None:
        self.sent.clear()
        self.size = 0


@dataclass(slots=True)
class BytesInFlight:
    """Those of one leadership, in `term`, by follower."""

    term: int
    _to: dict[str, _To] = field(default_factory=dict)

    def begin_anew(self) -> None:
        """The members have changed: a follower that is new may have been one before."""
        self._to.clear()

    def received(self, event: MessageReceived) -> None:
        """An answer to AppendEntries or InstallSnapshot."""
        to = self._to.get(event.sender)
        if to is None:
            return
        if event.rejected_index:
            to.void()
        elif event.term == self.term and event.match_index > to.match_index:
            to.match_index = event.match_index
            for prev in [prev for prev in to.sent if prev < event.match_index]:
                to.size -= to.sent.pop(prev).size

    def snapshot_sent(self, peer: str) -> None:
        """What was on its way is lost, or is in the snapshot."""
        if (to := self._to.get(peer)) is not None:
            to.void()

    def sent(self, event: MessageSent, most: int) -> tuple[MessageSent, int] | None:
        """Counts the message. If others were on their way with `most` bytes or more: the first of them, and how many
        bytes they have."""
        to = self._to.get(event.to)
        if to is None:
            to = self._to[event.to] = _To()
        if event.prev_log_index < to.prev_log_index:
            to.void()
        to.prev_log_index = event.prev_log_index
        if not event.size or event.prev_log_index < to.match_index:
            return None
        again = to.sent.pop(event.prev_log_index, None)
        if again is not None:
            to.size -= again.size
        too_many = (next(iter(to.sent.values())), to.size) if to.size >= most else None
        to.sent[event.prev_log_index] = event
        to.size += event.size
        return too_many
