"""Reads without a log entry (ReadIndex; Ongaro's thesis, §6.4, and §8 of the paper).

A read through the log costs an entry and a write on a majority. A leader can also answer from its own state, if it
makes sure of two things:

1. That it knows what is committed. A new leader has all committed entries in its log (§5.4.3), but its commit index
   may be behind. It is not once an entry of its own term is committed, so until then a read waits.
2. That it still leads. A leader that was cut off may have been replaced, and the new one may have committed more. So
   the leader asks all followers, and a majority, itself included, has to answer in this term. A round of heartbeats
   does that, if they were sent after the read came: whoever answers one had not voted in a later term by then, so no
   later leader had committed anything before the read came.

A read then waits until the node has applied the entries up to the read index: the commit index when its round began.

Each AppendEntries and InstallSnapshot carries the number of the latest round, and each answer repeats it, a rejection
too: it confirms the leadership as well as an acknowledgement does. So the answer to any later message also counts, and
a lost heartbeat needs no repetition of its own. All reads that come while a round runs share the next one.
"""

from __future__ import annotations

from operator import attrgetter
from typing import Any

from raft_chaos.raft.core.pre_vote import PreVoting
from raft_chaos.raft.state.reads import ReadEnd

_round = attrgetter("round")


class Reads(PreVoting):
    """How a leader serves reads from its own state."""

    def read(self, token: Any, now_us: int) -> bool:
        """A client's read; a `Ready` will carry its end with `token`. False: this node is not the leader."""
        self.now_us = now_us
        if self.role != "leader":
            return False
        self._reads.ask(token, self.current_term)
        return True

    @property
    def waiting_reads(self) -> int:
        """How many reads have not ended."""
        return self._reads.count

    def _advance_reads(self) -> list[ReadEnd]:
        """Brings the waiting reads as far as they can get; returns those that end now, in the order in which they came.

        Losing the leadership ends all of them. A read changes nothing, so its client may ask again elsewhere.
        """
        reads = self._reads
        if self.role != "leader" or reads.term != self.current_term:
            return reads.refuse()
        if reads.confirming and self._is_confirmed(reads.round):
            reads.confirm()
        if reads.asked and not reads.confirming and self._knows_commits():
            self._begin_round()
        return reads.applied_up_to(self.last_applied)

    def _begin_round(self) -> None:
        """The reads that have come so far get their read index, and all followers a heartbeat of a new round."""
        self._next_round()
        self._reads.begin(self.commit_index, self.round)
        for peer, progress in self.progress.items():
            if not self._is_behind(progress):  # otherwise the next part of its snapshot carries the round
                progress.probe_sent = True
                self._send_append(peer, progress.next_index, [])
        if self._is_confirmed(self.round):  # it is alone
            self._reads.confirm()

    def _next_round(self) -> None:
        self.round += 1

    def _knows_commits(self) -> bool:
        """Whether the commit index covers all that earlier leaders committed: an entry of this term is committed."""
        return self.log.term_at(self.commit_index) == self.current_term

    def _is_confirmed(self, number: int) -> bool:
        """Whether a majority, this node included, has answered a message of this round or of a later one."""
        return self._reached(number, _round) >= number
