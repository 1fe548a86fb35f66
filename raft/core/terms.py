"""Terms (§5.1): a node follows the largest term that it hears of."""

from __future__ import annotations

from raft_chaos.raft.core.base import Base


class Terms(Base):
    """How a node enters a term, and how it becomes a follower."""

    def _become_follower(self, term: int, leader: str | None) -> None:
        """Becomes a follower in `term`. In the same term voted_for stays: a node never takes a vote back (§5.2)."""
        was_leader = self.role == "leader"
        changed = self.role != "follower" or self.leader != leader or term > self.current_term
        self.role = "follower"
        self.leader = leader
        if term > self.current_term:
            self._enter_term(term, None)
        if was_leader:
            self._replicate = False
            self._reset_election_timer()  # a leader has none running
        if changed:
            self._report_role()

    def _enter_term(self, term: int, voted_for: str | None) -> None:
        self.current_term = term
        self.voted_for = voted_for
        self._persist_hard_state()
