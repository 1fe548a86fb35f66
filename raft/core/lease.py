"""Reads by a lease (Ongaro's thesis, §6.4.1): while no other leader can have been elected, a leader answers from its
own state without asking anybody. A feature, `lease_reads`, which needs `check_quorum`.

Whoever has heard from a leader votes for nobody else for the shortest election timeout (`CheckQuorum._is_settled`; a
restart counts as hearing one). So once a majority has answered a round of heartbeats, no other leader is elected for
that time after the round was *sent*. It counts from then, and not from the answers, since a follower may have heard the
heartbeat as soon as it was sent.

1. The followers measure that time by their own clocks, so the leader's lease is shorter, by `MOST_DRIFT`: by so much at
   most may one clock run faster than another. Where clocks jump, or drift more, reads by a lease may be stale.
2. Only an answer counts that repeats the round of a message of this term. Its sender has heard this leader when it
   answered, whether the entries matched or not. Any other rejection says nothing of the kind: of a message of an
   earlier term, it may come from a node that follows nobody, or is about to vote for another one (hashicorp/raft #666).
3. As for any read of a leader's state, an entry of its own term has to be committed.
4. A leader that has told another node to stand (`core.transfer`) has no lease for the rest of its term: voters heed
   that node although they hear this leader, and the word may reach it long after the transfer was given up (raft-rs
   #234).

A read that finds no lease goes by ReadIndex.
"""

from __future__ import annotations

from operator import attrgetter
from typing import Any

from raft_chaos.raft.core.membership import Membership
from raft_chaos.raft.state.reads import ReadEnd

_round = attrgetter("round")


class Lease(Membership):
    """When a leader has a lease, and the reads that it answers by it."""

    _no_lease_in = 0  # the term in which this leader gave up its lease for good

    def read_by_lease(self, token: Any, now_us: int) -> bool:
        """A client's read, as `read`; without a round of heartbeats if there is a lease."""
        if not self.features.lease_reads:
            return self.read(token, now_us)
        self.now_us = now_us
        if self.role != "leader":
            return False
        self._reads.hope(token, self.current_term)
        return True

    def _advance_reads(self) -> list[ReadEnd]:
        """The check and the read are one step: what is answered is the state of a moment at which the lease was
        valid."""
        if self._reads.hoping:
            leads = self.role == "leader" and self._reads.term == self.current_term
            self._reads.settle(self.commit_index if leads and self._has_lease() else None)
        return super()._advance_reads()

    def _has_lease(self) -> bool:
        return (
            self._no_lease_in != self.current_term
            and self._knows_commits()
            and self.now_us < self._lease_begins_us() + self._lease_us()
        )

    def _lease_begins_us(self) -> int:
        """When the latest round was sent that a majority has answered, or a later message of this term."""
        return self._rounds.sent_us(self._reached(self.round, _round))

    def _lease_us(self) -> int:
        """How long it lasts, by this node's clock."""
        return self.timing.lease_us

    def _give_up_lease(self) -> None:
        self._no_lease_in = self.current_term

    # ---- rounds -----------------------------------------------------------------------------------------------------

    def _become_leader(self) -> None:
        self._rounds.clear()
        super()._become_leader()

    def _broadcast_heartbeat(self) -> None:
        """Every heartbeat is a round of its own, whose answers prolong the lease."""
        if self.features.lease_reads:
            self._next_round()
        super()._broadcast_heartbeat()

    def _next_round(self) -> None:
        super()._next_round()
        if self.features.lease_reads:
            self._rounds.sent(self.round, self.now_us, self._lease_us())
