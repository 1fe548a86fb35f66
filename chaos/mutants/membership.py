"""Mistakes in changes of the members (§6; thesis, chapter 4): two sets of voters decide without each other."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from raft_chaos.chaos.mutants.mutant import LOST_COMMIT, Mutant
from raft_chaos.raft.core import Core, Progress
from raft_chaos.raft.replica.output import Reply
from raft_chaos.raft.replica.replica import Replica
from raft_chaos.raft.replica.result import Result
from raft_chaos.raft.server.parts import Parts
from raft_chaos.raft.state.configuration import TRY_AGAIN, Configuration, decode_change
from raft_chaos.raft.state.messages import InstallSnapshot, Message, Recovered, Snapshot


class MembershipBeforeNoop(Core):
    def _may_change(self) -> bool:
        return True


class ChangesOverlap(Core):
    def _is_changing(self) -> bool:
        return self.configuration.is_joint


class ApplyTimeJoint(Core):
    def _effective_configuration(self) -> tuple[int, Configuration]:
        return self._configurations.at(self.commit_index)


class RollbackKeepsMembership(Core):
    def _forget_configurations(self, from_index: int) -> None:
        pass


class SnapshotKeepsNewerMembership(Core):
    def _replace_configurations(self, snapshot: Snapshot) -> None:
        if snapshot.configuration_index > self.configuration_index:
            super()._replace_configurations(snapshot)


class LearnerRefusesVote(Core):
    def _may_vote_for(self, candidate: str) -> bool:
        return self.configuration.is_voter(self.node) and super()._may_vote_for(candidate)


class LearnerCounts(Core):
    def _set_configuration(self, index: int, configuration: Configuration) -> None:
        super()._set_configuration(index, configuration)
        self._electorates = tuple((*voters, *configuration.learners) for voters in self._electorates)


class SelfRemovalCountsItself(Core):
    def _set_configuration(self, index: int, configuration: Configuration) -> None:
        super()._set_configuration(index, configuration)
        if self.role == "leader":
            self._electorates = tuple(tuple({*voters, self.node}) for voters in self._electorates)


class RemovedLeaderLeadsOn(Core):
    def _end_transition(self) -> None:
        if self.configuration.is_joint:
            super()._end_transition()


class RemovedLeaderLeavesEarly(Core):
    def _set_configuration(self, index: int, configuration: Configuration) -> None:
        super()._set_configuration(index, configuration)
        if self.role == "leader" and not (configuration.is_joint or configuration.is_voter(self.node)):
            self._become_follower(self.current_term, leader=None)


class RemovedLeaderNeverStands(Core):
    def _may_stand(self) -> bool:
        return self.configuration.is_voter(self.node)


class LearnerPromotedBehind(Core):
    def _may_have_fallen_behind(self, progress: Progress) -> bool:
        return False


class SilentLearnerPromoted(Core):
    def _has_caught_up(self, node: str) -> bool:
        progress = self.progress.get(node)
        return progress is not None and progress.is_caught_up


class RoundOfAnyLength(Core):
    def _end_catch_up_round(self, progress: Progress) -> None:
        progress.is_caught_up, progress.goal = True, 0


QUORUMS = ("quorum_log", "leader_votes_quorum", "election_safety", *LOST_COMMIT)
RULES = ("membership_changes", *QUORUMS)
"""What a wrong change breaks: a rule of changes, then the quorums, then what these protect."""


class LearnerNeverPromoted(Core):
    def _has_caught_up(self, node: str) -> bool:
        return False


class LearnerStands(Core):
    def _may_stand(self) -> bool:
        return True


class JointLeftToItsLeader(Core):
    def _end_transition(self) -> None:
        index = self.configuration_index
        began_it = index > self.log.base_index and self.log.term_at(index) == self.current_term
        if began_it or not self.configuration.is_joint:
            super()._end_transition()


class SnapshotHasLatestMembers(Core):
    def compact(self, data: bytes, state: str) -> None:
        index = self.last_applied
        at, configuration = self._configurations.latest
        snapshot = Snapshot(
            index, self.log.term_at(index), self.log.digest(index), data, configuration if at else None, at
        )
        self.log.compact(index)
        self._configurations.compact(index)
        lsn = self._save(snapshot)
        self._report(self._reporter.snapshot_taken(self.now_us, snapshot, state), lsn)


class CandidateAsksNewVoters(Core):
    def _set_configuration(self, index: int, configuration: Configuration) -> None:
        super()._set_configuration(index, configuration)
        self.other_voters = tuple(node for node in self.peers if node in configuration.voters)


class RestartForgetsMembersOfSnapshot(Core):
    def _recover(self, recovered: Recovered) -> None:
        snapshot = recovered.snapshot
        if snapshot is not None:
            recovered = replace(recovered, snapshot=replace(snapshot, configuration=None, configuration_index=0))
        super()._recover(recovered)
        self.snapshot = snapshot


class ChangeAnsweredAtJoint(Replica):
    def _end_change(self, index: int, term: int, token: Any) -> None:
        self._replies.append(Reply(token, index, term, Result(True)))


class SnapshotSentWithoutMembers(Core):
    def _send(self, to: str, message: Message, after_lsn: int = 0) -> None:
        if type(message) is InstallSnapshot:
            message = replace(message, configuration=None, configuration_index=0)
        super()._send(to, message, after_lsn)


class ChangeAnsweredWhenAppended(Replica):
    def submit(self, token: Any, command: bytes, now_us: int) -> bool:
        is_taken = super().submit(token, command, now_us)
        index, (term, latest, size) = next(reversed(self._waiting.items()), (0, (0, None, 0)))
        if is_taken and latest == token and decode_change(command) is not None:
            del self._waiting[index]
            self._waiting_bytes -= size
            self._replies.append(Reply(token, index, term, Result(True)))
        return is_taken


class ChangeUnderWayIsDone(Replica):
    def submit(self, token: Any, command: bytes, now_us: int) -> bool:
        is_taken = super().submit(token, command, now_us)
        last = self._replies[-1].result if self._replies else None
        if last is not None and last.error is not None and last.error.endswith(TRY_AGAIN):
            self._replies[-1] = replace(self._replies[-1], result=Result(True))
        return is_taken


MEMBERSHIP = (
    Mutant(
        "membership_before_noop",
        "a new leader changes the members before it has committed an entry of its own term",
        "the thesis itself, until 2015 (Ongaro, raft-dev)",
        RULES,
        Parts(core=MembershipBeforeNoop),
    ),
    Mutant(
        "changes_overlap",
        "a leader begins a change although the one before it is not committed yet",
        "a classic omission of single-server changes (thesis, §4.1)",
        RULES,
        Parts(core=ChangesOverlap),
    ),
    Mutant(
        "apply_time_joint",
        "a node uses the latest configuration that is committed, and not the latest in its log",
        "etcd #12359",
        RULES,
        Parts(core=ApplyTimeJoint),
    ),
    Mutant(
        "rollback_keeps_membership",
        "a node still uses a configuration whose entry it has deleted",
        "a classic omission of §6",
        RULES,
        Parts(core=RollbackKeepsMembership),
    ),
    Mutant(
        "snapshot_keeps_newer_membership",
        "a snapshot replaces a log, and the uncommitted configuration that was in it stays in force",
        "openraft #1808",
        RULES,
        Parts(core=SnapshotKeepsNewerMembership),
    ),
    Mutant(
        "learner_refuses_vote",
        "a node that does not know yet that it may vote refuses its vote",
        "etcd #10998",
        ("recovery", "liveness_under_fault"),
        Parts(core=LearnerRefusesVote),
    ),
    Mutant(
        "learner_counts",
        "learners count as voters: a majority with them may be none",
        "a classic omission of learners (thesis, §4.2.1)",
        QUORUMS,
        Parts(core=LearnerCounts),
    ),
    Mutant(
        "self_removal_counts_itself",
        "a leader that removes itself counts itself in the majority",
        "a classic omission of §6 (thesis, §4.2.2)",
        QUORUMS,
        Parts(core=SelfRemovalCountsItself),
    ),
    Mutant(
        "removed_leader_leads_on",
        "a leader that has removed itself leads on",
        "a classic omission of §6 (thesis, §4.2.2)",
        RULES,
        Parts(core=RemovedLeaderLeadsOn),
    ),
    Mutant(
        "removed_leader_leaves_early",
        "a leader that removes itself steps down as soon as it has appended that entry: nobody may commit it",
        "a classic omission of §6 (thesis, §4.2.2)",
        ("check_quorum",),
        Parts(core=RemovedLeaderLeavesEarly),
    ),
    Mutant(
        "removed_leader_never_stands",
        "a leader that has removed itself and falls stands for no election, although nobody else has the entry",
        "openraft #2091",
        ("recovery", "liveness_under_fault"),
        Parts(core=RemovedLeaderNeverStands),
    ),
    Mutant(
        "learner_promoted_behind",
        "a learner that had caught up once gets its vote, whatever it has missed since",
        "RedisRaft #125",
        ("learner_promotion",),
        Parts(core=LearnerPromotedBehind),
    ),
    Mutant(
        "silent_learner_promoted",
        "a learner that had caught up gets its vote although it does not answer any more: it may be down",
        "a classic omission of learners (thesis, §4.2.1)",
        ("learner_promotion",),
        Parts(core=SilentLearnerPromoted),
    ),
    Mutant(
        "round_of_any_length",
        "a learner counts as caught up after its first round, however long that took and whatever came meanwhile",
        "a classic omission of learners (thesis, §4.2.1)",
        ("learner_promotion",),
        Parts(core=RoundOfAnyLength),
    ),
    Mutant(
        "learner_never_promoted",
        "a learner never counts as caught up, so it never gets its vote",
        "a classic omission of learners (thesis, §4.2.1)",
        ("recovery",),
        Parts(core=LearnerNeverPromoted),
    ),
    Mutant(
        "learner_stands",
        "nodes without a vote stand for election, and disturb those that have one",
        "a classic omission of learners (thesis, §4.2.1)",
        ("membership_changes",),
        Parts(core=LearnerStands),
    ),
    Mutant(
        "joint_left_to_its_leader",
        "a leader ends only the joint consensus that it began: where its leader falls, it never ends",
        "a classic omission of joint consensus (§6)",
        ("membership_changes",),
        Parts(core=JointLeftToItsLeader),
    ),
    Mutant(
        "snapshot_has_latest_members",
        "a snapshot has the latest configuration, and not that of its prefix: one that is not committed gets into it",
        "openraft #1808",
        ("membership_changes",),
        Parts(core=SnapshotHasLatestMembers),
    ),
    Mutant(
        "candidate_asks_new_voters",
        "in joint consensus a candidate asks only the new voters, although it needs a majority of the old ones, too",
        "a classic omission of joint consensus (§6)",
        ("recovery", "liveness_under_fault"),
        Parts(core=CandidateAsksNewVoters),
    ),
    Mutant(
        "restart_forgets_members_of_snapshot",
        "a node that starts from a snapshot has the members of the beginning, and not those of the snapshot",
        "a classic omission of snapshots (§7)",
        RULES,
        Parts(core=RestartForgetsMembersOfSnapshot),
    ),
    Mutant(
        "snapshot_sent_without_members",
        "a leader sends its snapshot without the configuration of the prefix: who installs it uses the first members",
        "a classic omission of §7",
        RULES,
        Parts(core=SnapshotSentWithoutMembers),
    ),
    Mutant(
        "change_answered_when_appended",
        "a change of the members is answered as done once the leader has appended it",
        "a classic omission of §6",
        RULES,
        Parts(replica=ChangeAnsweredWhenAppended),
    ),
    Mutant(
        "change_under_way_is_done",
        "a change that is refused since another one is under way is answered as done",
        "a classic omission of §6",
        RULES,
        Parts(replica=ChangeUnderWayIsDone),
    ),
    Mutant(
        "change_answered_at_joint",
        "a change of the members is answered as done once the joint configuration is committed, while the old voters "
        "are still needed",
        "a classic mistake of joint consensus (§6)",
        ("membership_changes",),
        Parts(replica=ChangeAnsweredAtJoint),
    ),
)
