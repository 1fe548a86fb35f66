"""Replication, the leader's side (§5.3): heartbeats, entries for each follower, and the handling of replies."""

from __future__ import annotations

from raft_chaos.raft.core.snapshot import Compaction
from raft_chaos.raft.state.configuration import Configuration
from raft_chaos.raft.state.messages import (
    AppendEntries,
    AppendEntriesReply,
    Entry,
    InstallSnapshot,
    InstallSnapshotReply,
)
from raft_chaos.raft.state.progress import Progress

NO_OP = b""

LONGEST_WRITE_TIMEOUTS = 10
"""A follower may write a snapshot for so many of the longest election timeouts until its leader keeps no entries for
it any more."""


class Leader(Compaction):
    """What a node does while it leads."""

    def _become_leader(self) -> None:
        self.role = "leader"
        self.leader = self.node
        self._reset_progress()
        self._report_role()
        self._heartbeat_deadline_us = self.now_us + self.timing.heartbeat_us
        # §8, §5.4.2: entries of earlier terms commit only with an entry of this term, so append a no-op at once.
        self._append(Entry(self.current_term, NO_OP))
        self._replicate = True

    def _reset_progress(self) -> None:
        """Reinitialized after election (Figure 2): what this node knew as an earlier leader may be false by now."""
        self.progress = {}
        self._follow_members()

    def _follow_members(self) -> None:
        """Keeps what this leader knows about each member, and begins with those that have become one (§6)."""
        known, last, learners = self.progress, self.log.last_index, self.configuration.learners
        self.progress = {
            peer: known[peer]
            if peer in known
            else Progress(
                next_index=last + 1, contact_us=self.now_us, goal=last if peer in learners else 0, since_us=self.now_us
            )
            for peer in self.peers
        }

    def _set_configuration(self, index: int, configuration: Configuration) -> None:
        super()._set_configuration(index, configuration)
        if self.role == "leader":
            self._follow_members()

    def _broadcast_heartbeat(self) -> None:
        self._heartbeat_deadline_us = self.now_us + self.timing.heartbeat_us
        for peer, progress in self.progress.items():
            if self._is_behind(progress):
                self._send_snapshot(peer, progress)
                continue
            # A probe without an answer by now is lost: the heartbeat replaces it.
            progress.probe_sent = True
            self._send_append(peer, progress.next_index, [])

    def _send_entries(self, peer: str) -> None:
        """Sends the entries that the follower lacks, up to the limits of what is in flight."""
        progress, log, timing = self.progress[peer], self.log, self.timing
        if self._is_behind(progress):
            if progress.may_begin_transfer:
                self._send_snapshot(peer, progress)
            return
        most = timing.max_entries_in_flight, timing.max_bytes_in_flight
        while progress.next_index <= log.last_index and not progress.is_paused(*most):
            entries = log.slice(progress.next_index, timing.max_entries_per_message, timing.max_bytes_per_message)
            self._send_append(peer, progress.next_index, entries)
            if progress.probing:
                progress.probe_sent = True
            else:
                progress.sends(entries)

    def _send_append(self, peer: str, next_index: int, entries: list[Entry]) -> None:
        prev, stream = next_index - 1, self.progress[peer].stream
        prev_term = self.log.term_at(prev)
        message = AppendEntries(self.current_term, prev, prev_term, self.commit_index, entries, stream, self.round)
        self._send(peer, message)

    # ---- snapshots (§7) ---------------------------------------------------------------------------------------------

    def _is_behind(self, progress: Progress) -> bool:
        """Whether the follower needs an entry that a snapshot has replaced here."""
        return progress.next_index <= self.log.base_index

    def _send_snapshot(self, peer: str, progress: Progress) -> None:
        """Sends the next part of a snapshot; the same again if no reply to it has come."""
        if progress.may_begin_transfer or self._may_send_newer(progress):
            assert self.snapshot is not None
            progress.begin_transfer(self.snapshot)
        snapshot, offset = progress.snapshot, progress.offset
        assert snapshot is not None
        message = InstallSnapshot(
            self.current_term,
            snapshot.index,
            snapshot.term,
            snapshot.digest,
            len(snapshot.data),
            progress.checksum,
            offset,
            snapshot.data[offset : offset + self.timing.chunk_bytes],
            self.round,
            snapshot.configuration,
            snapshot.configuration_index,
        )
        self._send(peer, message)

    def _may_send_newer(self, progress: Progress) -> bool:
        """Whether a transfer has not begun to arrive, and the follower is silent: when it is back, a newer snapshot
        spares it two. While it answers, the transfer goes on, or else one that takes long might never end."""
        return self._is_silent(progress) and not progress.offset and progress.snapshot is not self.snapshot

    def _is_silent(self, progress: Progress) -> bool:
        return self.now_us - progress.contact_us >= self.timing.election_timeout_min_us

    @property
    def must_keep_log(self) -> bool:
        """Whether a follower gets the snapshot that this log begins with, or the entries behind it.

        If the log were compacted now, the follower would need another snapshot after this one, and then another one:
        where entries come faster than snapshots arrive, it would never catch up. While it writes the snapshot, it does
        not answer; one that is silent for longer is taken for dead.
        """
        return self.role == "leader" and any(map(self._needs_log, self.progress.values()))

    def _needs_log(self, progress: Progress) -> bool:
        snapshot, base = progress.snapshot, self.log.base_index
        if snapshot is None or snapshot.index != base:
            return False
        silent_us = self.now_us - progress.contact_us
        may_write = silent_us < LONGEST_WRITE_TIMEOUTS * self.timing.election_timeout_max_us
        return may_write and progress.match_index < max(base, progress.bridge)

    def _on_install_snapshot_reply(self, source: str, m: InstallSnapshotReply) -> None:
        progress = self._answered_by(source, m)
        if progress is None:
            return
        if m.done:
            if progress.match_index < m.last_included_index:
                progress.bridge = self.log.last_index
            self._on_ack(progress, m.last_included_index)
            self._go_on_sending(source)
        elif progress.snapshot is not None and progress.snapshot.index == m.last_included_index:
            self._on_received(source, progress, m.offset)

    def _on_received(self, peer: str, progress: Progress, offset: int) -> None:
        """The follower has so much of the snapshot. If that is not more, the reply is late, or the follower restarted:
        then the next heartbeat sends a part, and the reply to it tells."""
        brings_more = offset > progress.offset
        progress.offset = offset
        if brings_more and self._is_behind(progress):
            self._send_snapshot(peer, progress)

    # ---- replies ----------------------------------------------------------------------------------------------------

    def _answered_by(self, source: str, m: AppendEntriesReply | InstallSnapshotReply) -> Progress | None:
        """What this leader knows about a follower that has answered, a rejection included; None for an answer to an
        earlier leadership."""
        if self.role != "leader" or m.term < self.current_term:
            return None
        progress = self.progress.get(source)
        if progress is None:
            return None  # it was a member
        if progress.is_caught_up and self._may_have_fallen_behind(progress):
            self._begin_catch_up_round(progress)
        progress.contact_us = self.now_us
        if m.round > progress.round:
            progress.round = m.round
        return progress

    def _on_append_entries_reply(self, source: str, m: AppendEntriesReply) -> None:
        progress = self._answered_by(source, m)
        if progress is None:
            return
        if m.success:
            self._on_ack(progress, m.match_index)
        elif not self._on_rejection(progress, m):
            return
        self._go_on_sending(source)

    def _go_on_sending(self, peer: str) -> None:
        """What the peer acknowledged may just have ended a change (§6), without this leader or without the peer."""
        if self.role == "leader" and peer in self.progress:
            self._send_entries(peer)

    def _on_ack(self, progress: Progress, match_index: int) -> None:
        progress.matches_up_to(match_index)
        if progress.goal and progress.match_index >= progress.goal:
            self._end_catch_up_round(progress)
        if progress.match_index > self.commit_index:  # otherwise it cannot commit anything new
            self._advance_commit()

    def _end_catch_up_round(self, progress: Progress) -> None:
        """A learner has all entries that this leader had when the round began. It has caught up once a round is shorter
        than an election timeout: it could fall behind no longer than that (thesis, §4.2.1)."""
        if self.now_us - progress.since_us < self.timing.election_timeout_min_us:
            progress.is_caught_up, progress.goal = True, 0
        else:
            self._begin_catch_up_round(progress)

    def _may_have_fallen_behind(self, progress: Progress) -> bool:
        """Whether a learner that is heard again may have been down, and lack any number of entries."""
        return self._is_silent(progress)

    def _begin_catch_up_round(self, progress: Progress) -> None:
        progress.is_caught_up, progress.goal, progress.since_us = False, self.log.last_index, self.now_us

    def _on_rejection(self, progress: Progress, m: AppendEntriesReply) -> bool:
        """Moves next_index back to where the logs may match (§5.3). Returns False for an outdated rejection."""
        possible = progress.match_index < m.rejected_index < progress.next_index
        if m.stream != progress.stream or not possible:
            return False
        hint = m.conflict_index
        if m.conflict_term and (same := self.log.last_index_of_term(m.conflict_term, m.rejected_index)):
            hint = same + 1
        # The hint is an index to try, not an index that matches; next_index decreases in any case.
        progress.move_back(max(progress.match_index + 1, min(hint, m.rejected_index)))
        return True
