"""Replication, the leader's side (§5.3): heartbeats, entries for each follower, and the handling of replies."""

from __future__ import annotations

from raft_chaos.raft.core.follower import Follower
from raft_chaos.raft.state.messages import AppendEntries, AppendEntriesReply, Entry
from raft_chaos.raft.state.progress import Progress

NO_OP = b""


class Leader(Follower):
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
        self.progress = {
            peer: Progress(next_index=self.log.last_index + 1, contact_us=self.now_us) for peer in self.peers
        }

    def _broadcast_heartbeat(self) -> None:
        self._heartbeat_deadline_us = self.now_us + self.timing.heartbeat_us
        for peer, progress in self.progress.items():
            # A probe without an answer by now is lost: the heartbeat replaces it.
            progress.probe_sent = True
            self._send_append(peer, progress.next_index, [])

    def _send_entries(self, peer: str) -> None:
        """Sends the entries that the follower lacks, up to the limit of entries in flight."""
        progress, log, timing = self.progress[peer], self.log, self.timing
        while progress.next_index <= log.last_index and not progress.is_paused(timing.max_entries_in_flight):
            entries = log.slice(progress.next_index, timing.max_entries_per_message, timing.max_bytes_per_message)
            self._send_append(peer, progress.next_index, entries)
            if progress.probing:
                progress.probe_sent = True
            else:
                progress.next_index += len(entries)

    def _send_append(self, peer: str, next_index: int, entries: list[Entry]) -> None:
        prev, stream = next_index - 1, self.progress[peer].stream
        message = AppendEntries(self.current_term, prev, self.log.term_at(prev), self.commit_index, entries, stream)
        self._send(peer, message)

    def _on_append_entries_reply(self, source: str, m: AppendEntriesReply) -> None:
        if self.role != "leader" or m.term < self.current_term:
            return
        progress = self.progress[source]
        progress.contact_us = self.now_us
        if m.success:
            self._on_ack(progress, m.match_index)
        elif not self._on_rejection(progress, m):
            return
        self._send_entries(source)

    def _on_ack(self, progress: Progress, match_index: int) -> None:
        progress.matches_up_to(match_index)
        if progress.match_index > self.commit_index:  # otherwise it cannot commit anything new
            self._advance_commit()

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
