"""What a leader knows that its followers have, by the acknowledgements that reached it: for `efficiency`.

A leader's next_index for a follower is above its match_index (Figure 2), so in one leadership no AppendEntries comes
after an entry before the last one that this follower has acknowledged.

All of it is in the leader's own order, with one exception: a live node takes several inputs in one turn, and then
reports all messages that they made it send. So a message may have been made before an acknowledgement that is reported
before it. But the reports of a turn are those of what arrived, and then those of what it sent. So what arrived before a
message was sent counts from the next arrival on: by then the turn of both is over.
"""

from __future__ import annotations

from raft_chaos.invariants.events import MessageReceived, MessageSent


class Acknowledged:
    """The acknowledgements of one leadership: of one term, in one incarnation."""

    __slots__ = ("_has_sent", "_known", "_new", "term")

    def __init__(self, term: int) -> None:
        self.term = term
        self._known: dict[str, MessageReceived] = {}  # by follower, the one with the highest match_index
        self._new: dict[str, MessageReceived] = {}  # those whose turn may not be over
        self._has_sent = False

    def received(self, event: MessageReceived) -> None:
        """An acknowledgement. One of an earlier term means nothing to this leadership."""
        if event.term != self.term:
            return
        if self._has_sent:
            self._known |= self._new
            self._new.clear()
            self._has_sent = False
        highest = self._new.get(event.sender) or self._known.get(event.sender)
        if highest is None or event.match_index > highest.match_index:
            self._new[event.sender] = event

    def ignored_by(self, event: MessageSent) -> MessageReceived | None:
        """The acknowledgement that makes this AppendEntries needless, since it begins before what was acknowledged."""
        self._has_sent = True
        known = self._known.get(event.to)
        return known if known is not None and event.prev_log_index < known.match_index else None

    def has_all_of(self, event: MessageSent) -> MessageReceived | None:
        """The acknowledgement that makes this part of a snapshot needless, since all that it replaces was acknowledged
        (§7)."""
        self._has_sent = True
        known = self._known.get(event.to)
        return known if known is not None and event.prev_log_index <= known.match_index else None
