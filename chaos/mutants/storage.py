"""Mistakes in the use of a disk: errors that are ignored, and damage that is taken for something else.

Rebello et al., "Can Applications Recover from fsync Failures?" (USENIX ATC 2020); Ganesan et al., "Redundancy Does Not
Imply Fault Tolerance" (FAST 2017); Alagappan et al., "Protocol-Aware Recovery" (FAST 2018).
"""

from __future__ import annotations

from collections.abc import Sequence
from zlib import crc32

from raft_chaos.chaos.mutants.mutant import Mutant
from raft_chaos.raft.server.parts import Parts
from raft_chaos.raft.state.messages import Committed, Record, Recovered
from raft_chaos.raft.storage.failing import DiskFailedError
from raft_chaos.raft.storage.framing import Records
from raft_chaos.raft.storage.identity import IDENTITY, Identity
from raft_chaos.raft.storage.log_file import FILE, Batch
from raft_chaos.raft.storage.sync_mark import SYNCED, encode_mark
from raft_chaos.raft.storage.wal import WriteAheadLog


class SyncErrorIgnored(WriteAheadLog):
    def sync(self) -> None:
        try:
            super().sync()
        except DiskFailedError:
            pass


class SyncRetried(WriteAheadLog):
    def sync(self) -> None:
        try:
            super().sync()
        except DiskFailedError:
            super().sync()  # it may succeed now, but nothing is left that it could write


class AppendErrorIgnored(WriteAheadLog):
    def append(self, records: Sequence[Record]) -> None:
        try:
            super().append(records)
        except DiskFailedError:
            pass


class DamageTakenForTornTail(WriteAheadLog):
    def _check_end(self, *_: object, **__: object) -> None:
        pass


class MarkIgnored(WriteAheadLog):
    def _check_end(
        self, records: Records[Batch], first: Batch | None, name: str, *, has_base: bool, synced: int
    ) -> None:
        super()._check_end(records, first, name, has_base=has_base, synced=0)


class MarkBeforeSync(WriteAheadLog):
    def sync(self) -> None:
        self.disk.overwrite(SYNCED, encode_mark(self._end, self._base_index))
        super().sync()


class ChecksumNotChecked(WriteAheadLog):
    def _open(self, body: bytes, checksum: int) -> Batch | None:
        return super()._open(body, crc32(body))


class EmptyAfterLostLog(WriteAheadLog):
    def _recover(self, identity: Identity) -> Recovered:
        files = self.disk.list()
        if IDENTITY in files and FILE not in files:
            self.disk.remove(IDENTITY)
        return super()._recover(identity)


class UnreadableLogDiscarded(WriteAheadLog):
    def _recover(self, identity: Identity) -> Recovered:
        try:
            return super()._recover(identity)
        except OSError:
            for name in self.disk.list():
                self.disk.remove(name)
            return super()._recover(identity)


class TornTailKept(WriteAheadLog):
    def _cut_tail(self) -> None:
        pass


class CommitMetaFirst(WriteAheadLog):
    def append(self, records: Sequence[Record]) -> None:
        if isinstance(records[-1], Committed):
            super().append(records[-1:])
            self.sync()
            records = records[:-1]
        super().append(records)


class RecoveryNotSynced(WriteAheadLog):
    def _make_durable(self) -> None:
        pass


_FORGETS = (
    "durability",
    "one_vote_per_term",
    "election_safety",
    "leader_completeness",
    "state_machine_safety",
    "acknowledged_writes",
    "linearizability",
    "monotonic_reads",
    "monotonicity",
    "log_matching",
    "leader_append_only",
    "committed_log_append_only",
    "quorum_log",
    "consistency_check",
    "leader_votes_quorum",
    "recovery",
)
"""What a node may violate that has forgotten a vote or an entry without a sign."""
_REFUSES = ("unexpected_exit", *_FORGETS)
"""The same, if its own recovery may find out: then it refuses to start, though nothing damaged its data."""

STORAGE = (
    Mutant(
        "sync_error_ignored",
        "a sync that failed counts as one that succeeded",
        "Redis (Rebello et al., 2020)",
        (*_FORGETS, "unexpected_exit"),
        Parts(wal=SyncErrorIgnored),
    ),
    Mutant(
        "sync_retried",
        "a failed sync is tried again, and succeeds without what the first one lost",
        "PostgreSQL, 2018 (fsyncgate)",
        _REFUSES,
        Parts(wal=SyncRetried),
    ),
    Mutant(
        "append_error_ignored",
        "a write that failed half-way counts as one that succeeded",
        "classic",
        _REFUSES,
        Parts(wal=AppendErrorIgnored),
    ),
    Mutant(
        "damage_taken_for_torn_tail",
        "recovery cuts the log off at a damaged record, whatever follows it",
        "Kafka (Ganesan et al., 2017)",
        _FORGETS,
        Parts(wal=DamageTakenForTornTail),
    ),
    Mutant(
        "mark_ignored",
        "recovery does not look whether the log is as long as it was when it was synced",
        "classic",
        _FORGETS,
        Parts(wal=MarkIgnored),
    ),
    Mutant(
        "mark_before_sync",
        "how much of the log was synced is written down before it is: a power failure in between leaves a node that "
        "refuses to start",
        "classic",
        ("unexpected_exit", "recovery"),
        Parts(wal=MarkBeforeSync),
    ),
    Mutant(
        "checksum_not_checked",
        "recovery takes a record whose bits have changed, if it can still be decoded",
        "Redis (Ganesan et al., 2017)",
        (*_FORGETS, "unexpected_exit"),
        Parts(wal=ChecksumNotChecked),
    ),
    Mutant(
        "empty_after_lost_log",
        "a node whose log is gone starts with term 0 and an empty log",
        "classic",
        _FORGETS,
        Parts(wal=EmptyAfterLostLog),
    ),
    Mutant(
        "unreadable_log_discarded",
        "a node that cannot read its log deletes it, and starts with an empty one",
        "the approach DeleteRebuild (Alagappan et al., 2018)",
        _FORGETS,
        Parts(wal=UnreadableLogDiscarded),
    ),
    Mutant(
        "torn_tail_kept",
        "recovery leaves a torn record in place, and the node writes behind it",
        "classic",
        _REFUSES,
        Parts(wal=TornTailKept),
    ),
    Mutant(
        "commit_meta_first",
        "the commit index is written before the entries that it speaks of: a crash in between leaves it without them",
        "PySyncObj #197",
        ("unexpected_exit", "recovery"),
        Parts(wal=CommitMetaFirst),
    ),
    Mutant(
        "recovery_not_synced",
        "recovery counts what it reads as durable, although a kill left it in the cache of the operating system alone",
        "classic",
        (*_FORGETS, "unexpected_exit"),
        Parts(wal=RecoveryNotSynced),
    ),
)
