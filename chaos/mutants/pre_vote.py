"""Mistakes in PreVote and CheckQuorum (Ongaro's thesis, §9.6, §6.2). They show in runs whose nodes have the feature."""

from __future__ import annotations

from operator import attrgetter

from raft_chaos.chaos.mutants.mutant import Mutant
from raft_chaos.raft.core import Core
from raft_chaos.raft.server.parts import Parts
from raft_chaos.raft.state.messages import Message, PreVote, PreVoteReply, Recovered, RequestVote

_contact_us = attrgetter("contact_us")


class PrevoteIgnoresLowerTerm(Core):
    def _on_pre_vote(self, source: str, m: PreVote) -> None:
        if m.term > self.current_term:
            super()._on_pre_vote(source, m)


class PrevoteEntersTerm(Core):
    def _heed(self, message: Message) -> bool:
        if type(message) is PreVote and not self._is_settled():
            self._become_follower(message.term, leader=None)
        return super()._heed(message)


class PrevoteSurvivesLeader(Core):
    def _on_pre_vote_reply(self, source: str, m: PreVoteReply) -> None:
        if m.granted and m.term == self.current_term + 1:
            self._count_pre_vote(source)


class PreVoteWithoutLogCheck(Core):
    def _on_pre_vote(self, source: str, m: PreVote) -> None:
        granted = m.term > self.current_term
        self._send(source, PreVoteReply(m.term if granted else self.current_term, granted))


class PreVoteWhileLed(Core):
    def _heed(self, message: Message) -> bool:
        return type(message) is PreVote or super()._heed(message)


class OnePreVoteIsEnough(Core):
    def _count_pre_vote(self, voter: str) -> None:
        self._pre_votes.add(voter)
        if len(self._pre_votes) > 1 or not self.other_voters:
            self._start_election()


class PreVotesAccumulate(Core):
    def _campaign(self) -> None:
        before = self._pre_votes
        super()._campaign()
        self._pre_votes |= before


class QuorumCheckForgetsItself(Core):
    def _hears_majority(self) -> bool:
        return self.now_us - self._reached(0, _contact_us) < self.timing.election_timeout_min_us


class LosesQuorumAndLeads(Core):
    def _keep_leading(self) -> None:
        self._broadcast_heartbeat()


class LeaderHeedsCandidates(Core):
    def _is_settled(self) -> bool:
        return self.role != "leader" and super()._is_settled()


class CandidatesAlwaysHeeded(Core):
    def _heed(self, message: Message) -> bool:
        if type(message) is RequestVote:
            self._become_follower(message.term, leader=None)
            return True
        return super()._heed(message)


class RestartForgetsLeader(Core):
    def _recover(self, recovered: Recovered) -> None:
        super()._recover(recovered)
        self._heard_us -= self.timing.election_timeout_min_us


PRE_VOTE = (
    Mutant(
        "prevote_ignores_lower_term",
        "a pre-vote is not answered if its term is not larger: a candidate that is behind never learns the term",
        "etcd #8243",
        ("recovery", "liveness_under_fault"),
        Parts(core=PrevoteIgnoresLowerTerm),
    ),
    Mutant(
        "prevote_enters_term",
        "a pre-vote makes the voter enter the term that it is about, as a vote request would",
        "a classic omission of PreVote (thesis, §9.6)",
        ("term_has_candidate",),
        Parts(core=PrevoteEntersTerm),
    ),
    Mutant(
        "prevote_survives_leader",
        "pre-votes that come late count, although the node has heard the leader again meanwhile",
        "a classic omission of PreVote (thesis, §9.6)",
        ("election_timer", "stable_leadership"),
        Parts(core=PrevoteSurvivesLeader),
    ),
    Mutant(
        "pre_vote_without_log_check",
        "a pre-vote is granted to any log: a node that nobody may vote for stands for election",
        "a classic omission of PreVote (thesis, §9.6)",
        ("pre_vote",),
        Parts(core=PreVoteWithoutLogCheck),
    ),
    Mutant(
        "pre_vote_while_led",
        "a node that hears a leader grants pre-votes all the same: who cannot hear it stands, and deposes it",
        "a classic omission of PreVote beside CheckQuorum (thesis, §9.6, §4.2.3)",
        ("leader_stickiness",),
        Parts(core=PreVoteWhileLed),
    ),
    Mutant(
        "one_pre_vote_is_enough",
        "the answer of one other node is enough to begin the election",
        "a classic omission of PreVote (thesis, §9.6)",
        ("pre_vote",),
        Parts(core=OnePreVoteIsEnough),
    ),
    Mutant(
        "pre_votes_accumulate",
        "answers to earlier questions are kept: in time they become a majority",
        "a classic omission of PreVote (thesis, §9.6)",
        ("pre_vote",),
        Parts(core=PreVotesAccumulate),
    ),
    Mutant(
        "quorum_check_forgets_itself",
        "a leader that looks for a majority does not count itself, and steps down with a majority behind it",
        "a classic omission of CheckQuorum (thesis, §6.2)",
        ("check_quorum",),
        Parts(core=QuorumCheckForgetsItself),
    ),
    Mutant(
        "loses_quorum_and_leads",
        "nodes that hear a leader heed no candidate, but a leader that a majority does not answer leads on",
        "openraft #2080",
        ("check_quorum", "liveness_under_fault"),
        Parts(core=LosesQuorumAndLeads),
    ),
    Mutant(
        "leader_heeds_candidates",
        "a leader whose majority hears it steps down for any candidate, and only its followers ignore those",
        "a classic omission of CheckQuorum (thesis, §4.2.3)",
        ("leader_stickiness",),
        Parts(core=LeaderHeedsCandidates),
    ),
    Mutant(
        "candidates_always_heeded",
        "a node that hears a leader follows any candidate into a later term: one that was cut off deposes the leader",
        "a classic omission of CheckQuorum (thesis, §4.2.3)",
        ("leader_stickiness",),
        Parts(core=CandidatesAlwaysHeeded),
    ),
    Mutant(
        "restart_forgets_leader",
        "a node that has restarted votes at once, although a leader's lease may rest on what it heard right before",
        "a classic omission of leases (thesis, §6.4.1)",
        ("leader_stickiness",),
        Parts(core=RestartForgetsLeader),
    ),
)
