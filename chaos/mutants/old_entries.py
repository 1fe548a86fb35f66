"""Mistakes in reading back entries that are not in memory. They show in runs whose nodes keep few (`cache_bytes`)."""

from __future__ import annotations

from raft_chaos.chaos.mutants.mutant import LOST_COMMIT, Mutant
from raft_chaos.raft.core import Core
from raft_chaos.raft.server.parts import Parts
from raft_chaos.raft.state.messages import AppendEntries
from raft_chaos.raft.storage.failing import DiskFailedError
from raft_chaos.raft.storage.wal import WriteAheadLog


class ReadErrorMatchesNothing(Core):
    def _send_entries(self, peer: str) -> None:
        try:
            super()._send_entries(peer)
        except DiskFailedError:
            there = self.log.slice(self.log.base_index + self.log.evicted + 1, 100, 100_000)
            stream = self.progress[peer].stream
            self._send(peer, AppendEntries(self.current_term, 0, 0, self.commit_index, there, stream, self.round))


class DeletedEntryReadBack(WriteAheadLog):
    def _place(self, place: int, offset: int) -> None:
        if place >= len(self._places):
            super()._place(place, offset)


OLD_ENTRIES = (
    Mutant(
        "read_error_matches_nothing",
        "a leader that cannot read an entry back takes its follower for empty, and sends what it still has as the "
        "beginning of the log",
        "openraft #1795",
        (
            "committed_log_append_only",
            "log_matching",
            "consistency_check",
            "durability",
            "quorum_log",
            "recovery",
            *LOST_COMMIT,
        ),
        Parts(core=ReadErrorMatchesNothing),
    ),
    Mutant(
        "deleted_entry_read_back",
        "an entry that took the place of a deleted one is read back from where the deleted one was written",
        "classic",
        ("unexpected_exit", "recovery"),
        Parts(wal=DeletedEntryReadBack),
    ),
)
