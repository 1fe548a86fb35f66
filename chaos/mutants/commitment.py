"""Mistakes in commitment, and in applying each command once (§5.3, §5.4, §8)."""

from __future__ import annotations

from msgspec.structs import replace

from raft_chaos.chaos.mutants.mutant import LOST_COMMIT, Mutant
from raft_chaos.raft.core import Core
from raft_chaos.raft.core.leader import NO_OP
from raft_chaos.raft.replica.machine import Machine, Session, SessionName
from raft_chaos.raft.replica.replica import Replica
from raft_chaos.raft.replica.result import Result
from raft_chaos.raft.server.parts import Parts
from raft_chaos.raft.state.messages import Entry


class OldTermCommit(Core):
    def _may_commit(self, index: int) -> bool:
        return True


class LeaderCountsUnsyncedSelf(Core):
    def _advance_commit(self) -> None:
        durable_index, self.log.durable_index = self.log.durable_index, self.log.last_index
        super()._advance_commit()
        self.log.durable_index = durable_index


class CommitLoopBreak(Core):
    def _may_commit(self, index: int) -> bool:
        # Terms never decrease along a log, so a loop that stops at the first entry of an older term stops right here.
        return self.log.term_at(self.commit_index + 1) == self.current_term


class CommitPastMatch(Core):
    def _follow_commit(self, leader_commit: int, last_new_index: int) -> None:
        index = min(leader_commit, self.log.last_index)
        if index > self.commit_index:
            self._set_commit_index(index)


class FollowerCommitRegress(Core):
    def _follow_commit(self, leader_commit: int, last_new_index: int) -> None:
        index = min(leader_commit, last_new_index)
        if index != self.commit_index:
            self._set_commit_index(index)


class StepDownRefusesCommands(Replica):
    def _give_up(self, indices: list[int]) -> None:
        before = len(self._replies)
        super()._give_up(indices)
        given_up = [replace(reply, result=Result(False, error="not the leader")) for reply in self._replies[before:]]
        self._replies[before:] = given_up


class NeverBusy(Replica):
    def busy(self, size: int = 0) -> str:
        return ""


class OlderSerialGetsLatest(Machine):
    def _answer_again(self, serial: int, session: Session) -> Result:
        return super()._answer_again(session.serial, session)


class NoClientDedup(Machine):
    def _remember(self, name: SessionName, serial: int, answer: Result) -> None:
        pass


class NoNoOp(Core):
    def _append(self, entry: Entry) -> int:
        if self.role == "leader" and entry.command == NO_OP:
            return self.log.last_index
        return super()._append(entry)


class GivenUpWithoutAnswer(Replica):
    def _give_up(self, indices: list[int]) -> None:
        before = len(self._replies)
        super()._give_up(indices)
        del self._replies[before:]


COMMITMENT = (
    Mutant(
        "no_no_op",
        "a new leader appends no no-op: what earlier terms left waits for the next command",
        "RaftOS #30",
        ("leader_no_op", "leadership_transfer"),
        Parts(core=NoNoOp),
    ),
    Mutant(
        "old_term_commit",
        "entries of an earlier term are committed by counting replicas (Fig. 8)",
        "PySyncObj #169",
        ("leader_commits_own_term", *LOST_COMMIT),
        Parts(core=OldTermCommit),
    ),
    Mutant(
        "leader_counts_unsynced_self",
        "the leader counts its own copy of an entry before its sync has ended",
        "openraft #2118, openraft #1125",
        ("quorum_log", *LOST_COMMIT),
        Parts(core=LeaderCountsUnsyncedSelf),
    ),
    Mutant(
        "commit_loop_break",
        "commitment stops at the first entry of an earlier term, instead of passing over it",
        "RaftOS #30",
        ("recovery",),
        Parts(core=CommitLoopBreak),
    ),
    Mutant(
        "commit_past_match",
        "a follower commits up to its last entry, instead of up to the last one that matches the leader's",
        "copycat #265, ScyllaDB #9965",
        ("quorum_log", *LOST_COMMIT),
        Parts(core=CommitPastMatch),
    ),
    Mutant(
        "follower_commit_regress",
        "a follower's commit index goes back to that of a new leader with a lower one",
        "PySyncObj #166",
        ("monotonicity",),
        Parts(core=FollowerCommitRegress),
    ),
    Mutant(
        "step_down_refuses_commands",
        "a leader that steps down answers that what it had taken was not done, although the next leader may commit it",
        "classic",
        ("acknowledged_writes", "linearizability", "stale_reads"),
        Parts(replica=StepDownRefusesCommands),
    ),
    Mutant(
        "never_busy",
        "a leader that cannot commit takes whatever clients ask for, and grows without bound",
        "classic",
        ("waiting_bounded",),
        Parts(replica=NeverBusy),
    ),
    Mutant(
        "given_up_without_answer",
        "a leader that steps down never answers what it had taken: its clients wait as long as they like to",
        "classic",
        ("recovery",),
        Parts(replica=GivenUpWithoutAnswer),
    ),
    Mutant(
        "older_serial_gets_latest",
        "a late duplicate of an older command gets the answer of its client's latest one",
        "a classic shortcut of §8",
        ("repeated_answers",),
        Parts(machine=OlderSerialGetsLatest),
    ),
    Mutant(
        "no_client_dedup",
        "a command that a client retries is applied a second time",
        "akka-raft #64",
        ("acknowledged_writes", "linearizability"),
        Parts(machine=NoClientDedup),
    ),
)
