"""Elections (§5.2), and the election restriction (§5.4.1)."""

from __future__ import annotations

from raft_chaos.raft.core.check_quorum import CheckQuorum
from raft_chaos.raft.state.held import CountOwnVote
from raft_chaos.raft.state.messages import PreVote, RequestVote, RequestVoteReply


class Election(CheckQuorum):
    """How a candidate asks for votes, how a voter answers, and when a majority makes a leader."""

    def _start_election(self, *, is_transfer: bool = False) -> None:
        """Stands for election in the next term; `is_transfer`: since its leader has told it to."""
        self.role = "candidate"
        self.leader = None
        self._votes = set()
        self._enter_term(self.current_term + 1, self.node)
        self._report_role()
        self._report_vote()
        self._reset_election_timer()
        request = RequestVote(self.current_term, self.log.last_index, self.log.last_term, is_transfer)
        for voter in self.other_voters:
            self._send(voter, request)
        # Its own vote counts once it is durable, like any other vote.
        self._pending.hold(self._hard_state_lsn, CountOwnVote(self.current_term))

    def _on_request_vote(self, source: str, m: RequestVote) -> None:
        grant = m.term == self.current_term and self._may_vote_for(source) and self._is_up_to_date(m)
        # Thesis, §4.2.3: who hears a leader does not grant its vote, either. It may have entered the term before, by a
        # message of another kind, and `_heed` does not ask again. A lease rests on this (`core.lease`).
        if grant and self.features.lease_reads and not m.transfer:
            grant = not self._is_settled()
        if grant:
            self._grant_vote(source)
        self._send(source, RequestVoteReply(self.current_term, grant))

    def _grant_vote(self, candidate: str) -> None:
        if self.voted_for is None:
            self.voted_for = candidate
            self._persist_hard_state()
            self._report_vote()
        self._pre_vote_term = 0
        # Without this, a voter would soon start an election against the candidate that it voted for.
        self._reset_election_timer()

    def _may_vote_for(self, candidate: str) -> bool:
        """One vote per term, first come first served; a repeated request gets the same answer."""
        return self.voted_for is None or self.voted_for == candidate

    def _is_up_to_date(self, m: RequestVote | PreVote) -> bool:
        """§5.4.1: the candidate's log is at least as up to date as ours."""
        return (m.last_log_term, m.last_log_index) >= (self.log.last_term, self.log.last_index)

    def _on_request_vote_reply(self, source: str, m: RequestVoteReply) -> None:
        if m.vote_granted:
            self._count_vote(source, m.term)

    def _count_vote(self, voter: str, term: int) -> None:
        # A vote of an earlier candidacy says nothing about this one.
        if self.role != "candidate" or term != self.current_term:
            return
        self._votes.add(voter)
        if self._is_quorum(self._votes):
            self._become_leader()

    def _report_vote(self) -> None:
        assert self.voted_for is not None
        self._report(self._reporter.vote_granted(self.now_us, self.current_term, self.voted_for), self._hard_state_lsn)
