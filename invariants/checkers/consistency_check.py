"""consistency_check: what a rejected AppendEntries obliges the leader and the follower to (§5.3).

A follower rejects AppendEntries if its log has no entry at prev_log_index, or another one than the leader's. Two rules,
for one leader in one leadership, which is one term:

1. The leader goes back. Once a follower has rejected the lowest prev_log_index that the leader sent it, and that is
   above all that it has acknowledged, the next AppendEntries to it begins before that, or a snapshot is sent to it.
2. The follower has what it has acknowledged. It rejects no prev_log_index up to the highest index that it acknowledged
   in this term, before or after a restart.

A leader that believes in entries which the follower has lost breaks the first rule: it takes the rejection for an
outdated one, and sends the same again with each heartbeat. Nothing is committed wrongly by that, and often a run ends
before anybody misses the follower. A follower that acknowledges what a crash can take breaks the second one.

Why no correct node is convicted:
- Messages may be late, repeated or reordered, so a rejection may be outdated, and a correct leader ignores it. But one
  of the lowest prev_log_index never is. As long as the follower has acknowledged nothing from there on, the leader
  probes: all that it sends follows the same entry, until a rejection makes it go back. So whatever follows the lowest
  one was sent since it last went back, and a rejection of it is of that very stream (`raft.state.progress`).
- The leader goes back in the turn in which the rejection arrives. A live node takes several inputs in one turn, and
  may have made a message of that turn before it. But the reports of a turn are those of what arrived, and then those of
  what it sent. So a message that repeats what was rejected convicts only once something arrives after it (but for what
  leaders send), or the node reports a new role: by then that turn is over, and the message that goes back would be
  reported before.
- A message to a node whose link is down is not reported as sent. The next one that is begins before it too.
- While a snapshot is sent, nothing else is. Afterwards the leader sends what follows the entry that was acknowledged.
- A node that was removed and is added again may get another answer than before (§6), so it is judged no more in that
  leadership.
- In a term a follower takes entries from one leader, whose log only grows. So what the follower has acknowledged stays
  as it is until it enters a later term, and its later answers carry that one. It is durable before the follower says
  so, which makes a crash no exception. Which answer is later, the numbers of its messages tell, not their arrival.
"""

from __future__ import annotations

from collections import defaultdict

from raft_chaos.invariants.checkers.base import Checker, Handlers, who
from raft_chaos.invariants.checkers.messages import ABOUT_LEADING, APPEND, REPLIES, SNAPSHOT, when_received, when_sent
from raft_chaos.invariants.events import ConfigurationUsed, MessageReceived, MessageSent, RoleChanged, Started

NOTHING_SENT = 1 << 62


class _Follower:
    """What the leader has sent to it, and heard from it, in this leadership."""

    __slots__ = ("acknowledged", "again", "has_left", "lowest", "rejected")

    def __init__(self) -> None:
        self.has_left = False
        """Whether it was no member any more at some time."""
        self.lowest = NOTHING_SENT
        """The lowest prev_log_index of an AppendEntries that was sent."""
        self.acknowledged: MessageReceived | None = None  # the one with the highest match_index
        self.rejected: MessageReceived | None = None
        """A rejection of `lowest`, as long as the leader has not gone back."""
        self.again: MessageSent | None = None
        """AppendEntries that was reported after that rejection and does not go back."""

    @property
    def match_index(self) -> int:
        return self.acknowledged.match_index if self.acknowledged is not None else 0

    def settle(self) -> None:
        """The rejection has been heeded, or means nothing any more."""
        self.rejected = self.again = None


class _Leadership:
    """One term in which the node leads. `suspected` are followers with an AppendEntries whose turn may not be over."""

    __slots__ = ("followers", "suspected", "term")

    def __init__(self, term: int) -> None:
        self.term = term
        self.followers: defaultdict[str, _Follower] = defaultdict(_Follower)
        self.suspected: list[_Follower] = []


class ConsistencyCheck(Checker):
    """After a rejection the leader goes back, and a follower rejects nothing that it has acknowledged."""

    invariant = "consistency_check"
    rule = "If AppendEntries fails because of log inconsistency, the leader decrements nextIndex and retries (§5.3)."
    nothing_judged = "no follower rejected anything"
    only_if_judged = True

    KEPT_RULE = "A follower answers AppendEntries once the entries are durable, and deletes none in that term (§5.3)."

    def __init__(self) -> None:
        super().__init__()
        self._leads: dict[str, _Leadership] = {}

    def handlers(self) -> Handlers:
        return {
            Started: self._on_started,
            RoleChanged: self._on_role_changed,
            ConfigurationUsed: self._on_configuration,
            **when_sent(self._on_append_sent, APPEND),
            **when_sent(self._on_snapshot_sent, SNAPSHOT),
            **when_received(self._on_reply, *REPLIES),
            **when_received(self._on_other, *ABOUT_LEADING),
        }

    def _on_started(self, event: Started) -> None:
        self._leads.pop(event.node, None)  # a crash may have come before the rest of a turn was reported

    def _on_role_changed(self, event: RoleChanged) -> None:
        if (earlier := self._leads.pop(event.node, None)) is not None:
            self._judge_suspected(earlier)
        if event.role == "leader":
            self._leads[event.node] = _Leadership(event.term)

    def _on_configuration(self, event: ConfigurationUsed) -> None:
        if (leadership := self._leads.get(event.node)) is not None:
            members = event.members
            for name, follower in leadership.followers.items():
                if not members.includes(name):
                    follower.has_left = True
                    follower.settle()

    # ---- the leader's side ------------------------------------------------------------------------------------------

    def _on_append_sent(self, event: MessageSent) -> None:
        leadership = self._leads.get(event.node)
        if leadership is None:
            return
        follower, prev = leadership.followers[event.to], event.prev_log_index
        if prev < follower.lowest:
            follower.lowest = prev
            follower.settle()
        elif follower.rejected is not None and follower.again is None:
            follower.again = event
            leadership.suspected.append(follower)

    def _on_snapshot_sent(self, event: MessageSent) -> None:
        if (leadership := self._leads.get(event.node)) is not None:
            leadership.followers[event.to].settle()

    def _judge_suspected(self, leadership: _Leadership) -> None:
        """The turn in which these messages were sent is over."""
        for follower in leadership.suspected:
            rejected, again = follower.rejected, follower.again
            if rejected is None or again is None:
                continue
            self.violate(
                f"{who(again)} sent {again.to} what follows entry {again.prev_log_index}, although {again.to} had "
                f"rejected what follows entry {rejected.rejected_index}, the lowest one so far in term "
                f"{leadership.term}, and had acknowledged {_up_to(follower)}",
                follower.acknowledged,
                rejected,
                again,
            )
            follower.settle()
        leadership.suspected.clear()

    # ---- what arrives -----------------------------------------------------------------------------------------------

    def _on_other(self, event: MessageReceived) -> None:
        if (leadership := self._leads.get(event.node)) is not None and leadership.suspected:
            self._judge_suspected(leadership)

    def _on_reply(self, event: MessageReceived) -> None:
        leadership = self._leads.get(event.node)
        if leadership is None:
            return
        if leadership.suspected:
            self._judge_suspected(leadership)
        if event.term != leadership.term:
            return  # an answer to another leadership
        if event.match_index:
            self._on_acknowledged(leadership.followers[event.sender], event)
        elif event.rejected_index:
            self._on_rejected(leadership.followers[event.sender], event)

    def _on_acknowledged(self, follower: _Follower, event: MessageReceived) -> None:
        if event.match_index > follower.match_index:
            follower.acknowledged = event
            if event.match_index >= follower.lowest:
                follower.settle()

    def _on_rejected(self, follower: _Follower, event: MessageReceived) -> None:
        if follower.has_left:
            return
        self.judged += 1
        acknowledged = follower.acknowledged
        if acknowledged is None or event.rejected_index > acknowledged.match_index:
            if event.rejected_index == follower.lowest and follower.rejected is None:
                follower.rejected = event
        elif _place(event) > _place(acknowledged):
            self.violate(
                f"{event.sender} (incarnation {event.sender_inc}) rejected what follows entry {event.rejected_index} "
                f"of {event.node}, although it had acknowledged all up to {acknowledged.match_index} in this term "
                f"({event.term}), in incarnation {acknowledged.sender_inc}",
                acknowledged,
                event,
                rule=self.KEPT_RULE,
            )


def _place(event: MessageReceived) -> tuple[int, int]:
    """When its sender sent it, among its messages."""
    return event.sender_inc, event.number


def _up_to(follower: _Follower) -> str:
    return f"all up to {follower.match_index}" if follower.match_index else "nothing"
