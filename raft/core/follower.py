"""Replication, the follower's side (§5.3): the consistency check, the entries that are stored, the reply."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from raft_chaos.raft.core.commitment import Commitment
from raft_chaos.raft.state.messages import AppendEntries, AppendEntriesReply, Entry


class Follower(Commitment):
    """What a node does with the entries of a leader."""

    def _on_append_entries(self, source: str, m: AppendEntries) -> None:
        if m.term < self.current_term:
            self._send(source, AppendEntriesReply(self.current_term, False, 0))
            return
        if self.role == "leader":
            return  # Election Safety excludes another leader in this term; if there is one, the checkers report it
        self._hear(source, m.term)
        if m.prev_log_index < self.log.base_index:
            m = self._behind_base(m)

        if not self._matches(m.prev_log_index, m.prev_log_term):
            self._send(source, self._rejection(m))
            return
        last_new_index = self._store_entries(m.prev_log_index, m.entries)
        self._follow_commit(m.leader_commit, last_new_index)
        ack = AppendEntriesReply(self.current_term, True, last_new_index, round=m.round)
        self._send(source, ack, after_lsn=self._ack_needs_lsn(last_new_index))

    def _hear(self, leader: str, term: int) -> None:
        """The leader of this term has sent something."""
        if self.leader != leader:  # true of every candidate
            self._become_follower(term, leader)
        self._reset_election_timer()
        self._heard_us = self.now_us

    def _matches(self, prev_log_index: int, prev_log_term: int) -> bool:
        """The consistency check: our log holds the entry that precedes the new ones."""
        return prev_log_index <= self.log.last_index and self.log.term_at(prev_log_index) == prev_log_term

    def _behind_base(self, m: AppendEntries) -> AppendEntries:
        """The same, without the entries that our snapshot replaces (§7): these are committed, so the leader has the
        same ones (§5.4.3), and nothing is left to compare with."""
        base, known = self.log.base_index, self.log.base_index - m.prev_log_index
        return replace(m, prev_log_index=base, prev_log_term=self.log.base_term, entries=m.entries[known:])

    def _rejection(self, m: AppendEntries) -> AppendEntriesReply:
        log, prev = self.log, m.prev_log_index
        conflict_index, conflict_term = log.last_index + 1, 0
        if prev <= log.last_index:
            conflict_index, conflict_term = log.first_index_of_term_at(prev), log.term_at(prev)
        return AppendEntriesReply(self.current_term, False, 0, prev, conflict_index, conflict_term, m.stream, m.round)

    def _store_entries(self, prev_log_index: int, entries: Sequence[Entry]) -> int:
        """Stores the new entries; returns the index of the last entry that the message covers.

        Only a real conflict truncates (Figure 2, step 3): a delayed, shorter AppendEntries must not cut off entries
        that a later one brought, since the leader may have counted them.
        """
        index = prev_log_index
        for entry in entries:
            index += 1
            if index <= self.log.last_index:
                if self.log.term_at(index) == entry.term:
                    continue
                self._truncate(index)
            self._append(entry)
        return index

    def _follow_commit(self, leader_commit: int, last_new_index: int) -> None:
        """Figure 2, step 5: never past the last entry known to match the leader's (§5.3)."""
        index = leader_commit if leader_commit < last_new_index else last_new_index
        if index > self.commit_index:  # a new leader may know of fewer commits than we do
            self._set_commit_index(index)

    def _ack_needs_lsn(self, match_index: int) -> int:
        """The leader counts this acknowledgement towards commitment, so the entries must be durable first."""
        return self.log.lsn(match_index)
