"""Mistakes in terms, votes and the conditions of an election (§5.1, §5.2, §5.4.1)."""

from __future__ import annotations

from raft_chaos.chaos.mutants.mutant import LOST_COMMIT, Mutant
from raft_chaos.raft.core import Core
from raft_chaos.raft.server.parts import Parts
from raft_chaos.raft.state.held import SendMessage
from raft_chaos.raft.state.messages import (
    AppendEntries,
    HardState,
    Message,
    PreVote,
    RequestVote,
    RequestVoteReply,
    Truncate,
)


class VoteNotPersisted(Core):
    def _hard_state(self) -> HardState:
        return HardState(self.current_term, None)


class TermNotPersisted(Core):
    def _hard_state(self) -> HardState:
        return HardState(0, self.voted_for)


class TermThenVote(Core):
    def _enter_term(self, term: int, voted_for: str | None) -> None:
        self.voted_for = voted_for
        self._persist_hard_state()
        # Deletes nothing. But a truncation starts a separate write, so a crash can happen between the two.
        self._pending.record(Truncate(self.log.last_index + 1))
        self.current_term = term
        self._persist_hard_state()


class SendBeforePersist(Core):
    def _send(self, to: str, message: Message, after_lsn: int = 0) -> None:
        if after_lsn <= self._pending.durable_lsn:
            self._messages.append((to, message))
        else:
            self._pending.hold(after_lsn, SendMessage(to, message))


class VoteClearedSameTerm(Core):
    def _become_follower(self, term: int, leader: str | None) -> None:
        super()._become_follower(term, leader)
        self.voted_for = None


class StaleVoteCounted(Core):
    def _on_request_vote_reply(self, source: str, m: RequestVoteReply) -> None:
        if m.vote_granted:
            self._count_vote(source, self.current_term)


class VoteCountedTwice(Core):
    def _count_vote(self, voter: str, term: int) -> None:
        others = [other for other in self.other_voters if other not in self._votes]
        super()._count_vote(others[0] if voter in self._votes and others else voter, term)


class NoUpToDateCheck(Core):
    def _is_up_to_date(self, m: RequestVote | PreVote) -> bool:
        return True


class HalfIsMajority(Core):
    def _majority(self, voters: int) -> int:
        return (voters + 1) // 2


class TimerNotReset(Core):
    def _grant_vote(self, candidate: str) -> None:
        if self.voted_for is None:
            self.voted_for = candidate
            self._persist_hard_state()
            self._report_vote()


class StaleAppendResetsTimer(Core):
    def _on_append_entries(self, source: str, m: AppendEntries) -> None:
        super()._on_append_entries(source, m)
        if m.term < self.current_term:
            self._reset_election_timer()


class DeniedVoteResetsTimer(Core):
    def _on_request_vote(self, source: str, m: RequestVote) -> None:
        super()._on_request_vote(source, m)
        self._reset_election_timer()


class HeartbeatKeepsTimer(Core):
    def _on_append_entries(self, source: str, m: AppendEntries) -> None:
        due_us, follows = self._election_deadline_us, self.role == "follower" and self.leader == source
        super()._on_append_entries(source, m)
        if follows and not m.entries:
            self._election_deadline_us = due_us


class StaleLeaderNamed(Core):
    def _become_follower(self, term: int, leader: str | None) -> None:
        earlier = self.leader if self.role == "follower" and term > self.current_term else None
        super()._become_follower(term, leader or earlier)


class QuorumCheckIgnoresHeartbeats(Core):
    idle: tuple[int, int, int] = (0, 0, 0)  # a term, a commit index, and how many heartbeats it has not moved for

    def _broadcast_heartbeat(self) -> None:
        super()._broadcast_heartbeat()
        term, index, heartbeats = self.idle
        stands = (term, index) == (self.current_term, self.commit_index)
        self.idle = (self.current_term, self.commit_index, heartbeats + 1 if stands else 0)
        if self.idle[2] * self.timing.heartbeat_us >= self.timing.election_timeout_min_us:
            self._become_follower(self.current_term, leader=None)


class ElectionStorm(Core):
    def tick(self, now_us: int) -> None:
        super().tick(now_us)
        if self.role == "candidate":
            self._election_deadline_us = now_us + self.timing.heartbeat_us


class StickyVoterWithoutCheckQuorum(Core):
    def receive(self, source: str, message: Message, now_us: int) -> None:
        self.now_us = now_us
        # The leader steps down only if it has CheckQuorum; ours would lead on without a quorum.
        if type(message) is not RequestVote or self.leader is None:
            super().receive(source, message, now_us)


class VoterRefusesElectedLeader(Core):
    def _on_append_entries(self, source: str, m: AppendEntries) -> None:
        if m.term > self.current_term or self.voted_for in (None, source):
            super()._on_append_entries(source, m)


class CandidateIgnoresConflictingLeader(Core):
    def _on_append_entries(self, source: str, m: AppendEntries) -> None:
        if self.role != "candidate" or self._matches(m.prev_log_index, m.prev_log_term):
            super()._on_append_entries(source, m)


ELECTIONS = (
    Mutant(
        "vote_not_persisted",
        "voted_for is not written to disk: a restarted voter may vote again in the same term",
        "PySyncObj #84",
        ("one_vote_per_term", "election_safety"),
        Parts(core=VoteNotPersisted),
    ),
    Mutant(
        "term_not_persisted",
        "current_term is not written to disk: restarted nodes start again from term 0 and commit in old terms",
        "PySyncObj #202",
        ("state_machine_safety", "leader_completeness", "monotonicity", "one_vote_per_term"),
        Parts(core=TermNotPersisted),
    ),
    Mutant(
        "term_then_vote",
        "the vote and the new term are written to disk in two steps: a crash between them loses the old term's vote",
        "sofa-jraft #1241",
        ("one_vote_per_term", "election_safety"),
        Parts(core=TermThenVote),
    ),
    Mutant(
        "send_before_persist",
        "vote requests and votes are sent before the term and the vote are durable",
        "sofa-jraft",
        ("leader_votes_quorum", "election_safety"),
        Parts(core=SendBeforePersist),
    ),
    Mutant(
        "vote_cleared_same_term",
        "stepping down in the same term clears voted_for, so a second candidate of that term gets a vote too",
        "Zeebe #5356, CCF #8094",
        ("one_vote_per_term", "election_safety"),
        Parts(core=VoteClearedSameTerm),
    ),
    Mutant(
        "stale_vote_counted",
        "a vote that was granted for an earlier term is counted in the current one",
        "Xraft #33, akka-raft #47",
        ("leader_votes_quorum", "election_safety"),
        Parts(core=StaleVoteCounted),
    ),
    Mutant(
        "vote_counted_twice",
        "votes are counted by their number: the vote that one node sends twice counts as two",
        "Xraft #27, akka-raft #45",
        ("leader_votes_quorum", "election_safety"),
        Parts(core=VoteCountedTwice),
    ),
    Mutant(
        "no_up_to_date_check",
        "votes are granted to candidates whose log is behind the voter's",
        "a classic omission of §5.4.1",
        LOST_COMMIT,
        Parts(core=NoUpToDateCheck),
    ),
    Mutant(
        "half_is_majority",
        "half of an even number of nodes is taken for a majority",
        "AtlasDB #3501",
        ("leader_votes_quorum", "election_safety", "quorum_log", *LOST_COMMIT),
        Parts(core=HalfIsMajority),
    ),
    Mutant(
        "timer_not_reset",
        "granting a vote does not reset the election timer: voters stand against the leader they just elected",
        "braft #465",
        ("election_timer", "recovery"),
        Parts(core=TimerNotReset),
    ),
    Mutant(
        "stale_append_resets_timer",
        "an AppendEntries of an earlier term resets the election timer: a deposed leader delays the next election",
        "miniraft-cpp #28",
        ("election_timer", "liveness_under_fault"),
        Parts(core=StaleAppendResetsTimer),
    ),
    Mutant(
        "denied_vote_resets_timer",
        "a vote request that is denied resets the election timer: a node that cannot win delays those that can",
        "nats-server #5315, raft-rs #14",
        ("election_timer",),
        Parts(core=DeniedVoteResetsTimer),
    ),
    Mutant(
        "heartbeat_keeps_timer",
        "AppendEntries without entries do not reset the election timer: a leader with nothing to send is deposed",
        "a classic omission of §5.2",
        ("election_timer", "stable_leadership"),
        Parts(core=HeartbeatKeepsTimer),
    ),
    Mutant(
        "quorum_check_ignores_heartbeats",
        "a leader steps down if it has committed nothing for an election timeout: answers to heartbeats do not count",
        "nats-server #6512",
        ("check_quorum", "stable_leadership"),
        Parts(core=QuorumCheckIgnoresHeartbeats),
    ),
    Mutant(
        "election_storm",
        "a candidate begins the next election after a heartbeat interval instead of an election timeout",
        "NuRaft #33",
        ("election_timer", "recovery"),
        Parts(core=ElectionStorm),
    ),
    Mutant(
        "sticky_voter_without_check_quorum",
        "a node that follows a leader ignores vote requests, but a leader that has lost its quorum leads on",
        "openraft #2080",
        ("liveness_under_fault", "recovery"),
        Parts(core=StickyVoterWithoutCheckQuorum),
    ),
    Mutant(
        "voter_refuses_elected_leader",
        "a node that voted for the loser of an election ignores the AppendEntries of the winner in that term",
        "noraft #24",
        ("leader_recognized",),
        Parts(core=VoterRefusesElectedLeader),
    ),
    Mutant(
        "stale_leader_named",
        "a node that enters a later term goes on naming the leader of the earlier one, and sends clients there",
        "NuRaft #116, RedisLabs/raft #57",
        ("followed_leader", "election_timer", "leader_stickiness", "leader_recognized"),
        Parts(core=StaleLeaderNamed),
    ),
    Mutant(
        "candidate_ignores_conflicting_leader",
        "a candidate whose log differs from the elected leader's ignores that leader's AppendEntries",
        "d-engine #340",
        ("leader_recognized", "recovery"),
        Parts(core=CandidateIgnoresConflictingLeader),
    ),
)
