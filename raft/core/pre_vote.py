"""PreVote (Ongaro's thesis, §9.6): a node whose election timer runs out first asks whether it would win.

Otherwise a node that was cut off comes back with a term that it reached alone, and deposes a leader that all others
follow. A pre-vote changes nothing at the voter: neither its term, nor its vote, nor its timer.
"""

from __future__ import annotations

from raft_chaos.raft.core.election import Election
from raft_chaos.raft.state.messages import Message, PreVote, PreVoteReply, RequestVote


class PreVoting(Election):
    """What a node does when its timer runs out, and which messages make it enter a larger term."""

    def _campaign(self) -> None:
        """The election timer has run out."""
        if not self.features.pre_vote:
            self._start_election()
            return
        self._pre_vote_term = self.current_term + 1
        self._pre_votes = set()
        self._report(self._reporter.pre_vote_started(self.now_us, self._pre_vote_term, self.log), self._hard_state_lsn)
        self._become_follower(self.current_term, leader=None)  # of nobody, until the question is answered
        self._reset_election_timer()
        request = PreVote(self._pre_vote_term, self.log.last_index, self.log.last_term)
        for voter in self.other_voters:
            self._send(voter, request)
        self._count_pre_vote(self.node)

    def _on_pre_vote(self, source: str, m: PreVote) -> None:
        """A refusal tells this node's term: a candidate whose term is older could never be elected, nor ever learn why
        (etcd #8243)."""
        if m.term > self.current_term and self._is_up_to_date(m):
            self._send(source, PreVoteReply(m.term, True))
        else:
            self._send(source, PreVoteReply(self.current_term, False))

    def _on_pre_vote_reply(self, source: str, m: PreVoteReply) -> None:
        # A leader that this node has heard since then makes its question void, and so does a vote, or a larger term.
        if m.granted and m.term == self._pre_vote_term == self.current_term + 1 and self.leader is None:
            self._count_pre_vote(source)

    def _count_pre_vote(self, voter: str) -> None:
        self._pre_votes.add(voter)
        if self._is_quorum(self._pre_votes):
            self._start_election()

    def _heed(self, message: Message) -> bool:
        """The message has a larger term than this node, which enters it (§5.1), unless it must not. False: the message
        is to be dropped."""
        if (type(message) is RequestVote or type(message) is PreVote) and self._is_settled():
            return False
        if type(message) is PreVote or (type(message) is PreVoteReply and message.granted):
            return True  # nobody has entered that term yet
        self._become_follower(message.term, leader=None)
        return True
