"""Mistakes in log compaction (§7). They show in runs whose nodes take snapshots."""

from __future__ import annotations

from msgspec.structs import replace

from raft_chaos.chaos.mutants.mutant import LOST_COMMIT, Mutant
from raft_chaos.invariants.events import Event
from raft_chaos.raft.core import Core, Progress
from raft_chaos.raft.replica.machine import Machine
from raft_chaos.raft.replica.output import Reply
from raft_chaos.raft.replica.replica import Replica
from raft_chaos.raft.replica.result import Result
from raft_chaos.raft.replica.saved_state import SavedSession
from raft_chaos.raft.server.parts import Parts
from raft_chaos.raft.state.messages import AppendEntries, AppendEntriesReply, SaveSnapshot, Snapshot
from raft_chaos.raft.storage.snapshot_file import SNAPSHOT, STAGED
from raft_chaos.raft.storage.wal import WriteAheadLog

# ---- the follower's side --------------------------------------------------------------------------------------------


class PrevZeroReappends(Core):
    def _behind_base(self, m: AppendEntries) -> AppendEntries:
        return replace(m, prev_log_index=self.log.base_index, prev_log_term=self.log.base_term)


class SnapshotKeepsConflict(Core):
    def _holds_last_of(self, snapshot: Snapshot) -> bool:
        return snapshot.index <= self.log.last_index


class SnapshotDropsSuffix(Core):
    def _holds_last_of(self, snapshot: Snapshot) -> bool:
        return False


class SnapshotAckBeforeSync(Core):
    def _install_needs_lsn(self, index: int) -> int:
        return 0


# ---- the leader's side ----------------------------------------------------------------------------------------------


class SnapshotOffByOne(Core):
    def _is_behind(self, progress: Progress) -> bool:
        return progress.next_index < self.log.base_index


class NackBelowSnapshot(Core):
    def _on_rejection(self, progress: Progress, m: AppendEntriesReply) -> bool:
        next_index, base_index = max(1, min(m.conflict_index, m.rejected_index)), self.log.base_index
        if next_index > base_index or self._is_behind(progress):
            return super()._on_rejection(progress, m)
        progress.move_back(next_index)
        return True


class LogCompactedDuringTransfer(Core):
    def _needs_log(self, progress: Progress) -> bool:
        return False


# ---- the state machine ----------------------------------------------------------------------------------------------


class ReplayOntoDirtyState(Machine):
    def _clear(self) -> None:
        pass


class RestoreAnswersDone(Replica):
    def _restore(self, snapshot: Snapshot, events: list[Event]) -> None:
        for index in [index for index in self._waiting if index <= snapshot.index]:
            term, token, size = self._waiting.pop(index)
            self._waiting_bytes -= size
            self._replies.append(Reply(token, index, term, Result(True)))
        super()._restore(snapshot, events)


class RestoreForgetsWaiting(Replica):
    def _restore(self, snapshot: Snapshot, events: list[Event]) -> None:
        self._waiting = {index: one for index, one in self._waiting.items() if index > snapshot.index}
        super()._restore(snapshot, events)


class SnapshotDropsSessions(Machine):
    def _saved_sessions(self) -> list[SavedSession]:
        return []


class OneSnapshotEachStart(Core):
    @property
    def saves_snapshot(self) -> bool:
        return self._snapshot_lsn > 0


class WholeSnapshotEachTime(Core):
    def _send_snapshot(self, peer: str, progress: Progress) -> None:
        super()._send_snapshot(peer, progress)
        assert progress.snapshot is not None
        received = progress.offset
        for offset in range(0, len(progress.snapshot.data), self.timing.chunk_bytes):
            progress.offset = offset
            super()._send_snapshot(peer, progress)
        progress.offset = received


# ---- the disk -------------------------------------------------------------------------------------------------------


class FolderNotSynced(WriteAheadLog):
    def name_snapshot(self) -> None:
        self.disk.sync(STAGED)
        self.disk.rename(STAGED, SNAPSHOT)


class LogCutBeforeSnapshot(WriteAheadLog):
    def _compact(self, record: SaveSnapshot) -> int:
        self._replace_log(record)
        self.name_snapshot()
        self.staged = None
        return self._end


_MACHINE = ("state_machine_safety", "linearizability", "repeated_answers", "monotonic_reads", "acknowledged_writes")

SNAPSHOTS = (
    Mutant(
        "prev_zero_reappends",
        "late entries from before the snapshot (those after prev_log_index 0, for one) are appended again behind it",
        "WRaft #118",
        ("log_matching", "leader_append_only", "consistency_check", "quorum_log", *LOST_COMMIT),
        Parts(core=PrevZeroReappends),
    ),
    Mutant(
        "snapshot_keeps_conflict",
        "InstallSnapshot keeps what follows the snapshot, although the log has another entry at its last index",
        "hashicorp/raft #697",
        ("log_matching", "consistency_check", "durability", "quorum_log", *LOST_COMMIT),
        Parts(core=SnapshotKeepsConflict),
    ),
    Mutant(
        "snapshot_drops_suffix",
        "InstallSnapshot deletes what follows the snapshot, although the log has the entry at its last index",
        "a classic mistake of Figure 13, step 6",
        ("consistency_check", "durability", "quorum_log", *LOST_COMMIT),
        Parts(core=SnapshotDropsSuffix),
    ),
    Mutant(
        "snapshot_ack_before_sync",
        "an installed snapshot is acknowledged before it is durable: after a crash the leader believes no rejection",
        "classic",
        ("consistency_check", "recovery", "liveness_under_fault"),
        Parts(core=SnapshotAckBeforeSync),
    ),
    Mutant(
        "snapshot_off_by_one",
        "a follower that lacks only the last entry of the snapshot is to get entries, which the log does not have",
        "WRaft #118",
        ("unexpected_exit",),
        Parts(core=SnapshotOffByOne),
    ),
    Mutant(
        "nack_below_snapshot",
        "a late rejection moves next_index back below the snapshot, which is then sent again",
        "NuRaft #105",
        ("efficiency",),
        Parts(core=NackBelowSnapshot),
    ),
    Mutant(
        "log_compacted_during_transfer",
        "a leader compacts its log while a follower gets a snapshot, which then needs another one, and another one",
        "classic",
        ("efficiency",),
        Parts(core=LogCompactedDuringTransfer),
    ),
    Mutant(
        "replay_onto_dirty_state",
        "a snapshot is restored onto a state machine that was not reset",
        "braft #121",
        _MACHINE,
        Parts(machine=ReplayOntoDirtyState),
    ),
    Mutant(
        "restore_answers_done",
        "commands that wait at a node which restores a snapshot count as applied, whatever is in their place there",
        "a classic omission of snapshots (§7)",
        ("acknowledged_writes", "linearizability", "monotonic_reads", "stale_reads", "repeated_answers"),
        Parts(replica=RestoreAnswersDone),
    ),
    Mutant(
        "restore_forgets_waiting",
        "commands that wait at a node which restores a snapshot are never answered",
        "a classic omission of snapshots (§7)",
        ("recovery",),
        Parts(replica=RestoreForgetsWaiting),
    ),
    Mutant(
        "snapshot_drops_sessions",
        "a snapshot has no client sessions, so a repeated command is applied again",
        "a classic omission (§8)",
        _MACHINE,
        Parts(machine=SnapshotDropsSessions),
    ),
    Mutant(
        "one_snapshot_each_start",
        "the sign that a snapshot is being written stays set: a node takes one, and no other until it restarts",
        "classic",
        ("log_bounded",),
        Parts(core=OneSnapshotEachStart),
    ),
    Mutant(
        "whole_snapshot_each_time",
        "all parts of a snapshot are sent at each heartbeat and for each answer, whatever has arrived",
        "classic",
        ("efficiency",),
        Parts(core=WholeSnapshotEachTime),
    ),
    Mutant(
        "folder_not_synced",
        "the folder is not synced after a snapshot got its name: the power takes the name, and the shorter log stays",
        "LevelDB, and others (Pillai et al., 2014)",
        ("unexpected_exit", "recovery"),
        Parts(wal=FolderNotSynced),
    ),
    Mutant(
        "log_cut_before_snapshot",
        "the log is cut before the snapshot that replaces it has its name: a crash in between leaves neither",
        "classic",
        ("unexpected_exit", "recovery"),
        Parts(wal=LogCutBeforeSnapshot),
    ),
)
