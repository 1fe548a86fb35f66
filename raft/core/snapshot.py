"""Log compaction (§7): a snapshot of the state machine takes the place of the entries that led to it.

A node takes one by itself whenever it wants. Its leader sends it one if it needs entries that the leader has no more.
"""

from __future__ import annotations

from zlib import crc32

from raft_chaos.raft.core.follower import Follower
from raft_chaos.raft.state.held import ReleaseCommit
from raft_chaos.raft.state.incoming import Incoming
from raft_chaos.raft.state.messages import InstallSnapshot, InstallSnapshotReply, SaveSnapshot, Snapshot


class Compaction(Follower):
    """How a node compacts its log, and what it does with the snapshot of a leader."""

    _incoming: Incoming | None = None
    _snapshot_lsn = 0
    """The record of the newest snapshot."""

    # ---- its own ----------------------------------------------------------------------------------------------------

    @property
    def saves_snapshot(self) -> bool:
        """Whether a snapshot is not durable yet. To take another one meanwhile would only make the disk fall behind."""
        return self._snapshot_lsn > self._pending.durable_lsn

    def compact(self, data: bytes, state: str) -> None:
        """`data` is the state machine's state after the last applied entry, and `state` its digest.

        The log in memory begins behind that entry from now on. The one on the disk follows, whenever the write comes.
        """
        index = self.last_applied
        at, configuration = self._configurations.at(index)
        snapshot = Snapshot(
            index, self.log.term_at(index), self.log.digest(index), data, configuration if at else None, at
        )
        self.log.compact(index)
        self._configurations.compact(index)
        lsn = self._save(snapshot)
        self._report(self._reporter.snapshot_taken(self.now_us, snapshot, state), lsn)

    def _save(self, snapshot: Snapshot) -> int:
        """Replaces the whole log on the disk. The log in memory must begin behind the snapshot."""
        self.snapshot = snapshot
        self._snapshot_lsn = self._pending.record(
            SaveSnapshot(snapshot, self._hard_state(), self.log.behind(snapshot.index))
        )
        return self._snapshot_lsn

    # ---- a leader's -------------------------------------------------------------------------------------------------

    def _on_install_snapshot(self, source: str, m: InstallSnapshot) -> None:
        index = m.last_included_index
        if m.term < self.current_term:
            self._send(source, InstallSnapshotReply(self.current_term, index, 0, False))
            return
        if self.role == "leader":
            return  # as in `_on_append_entries`
        self._hear(source, m.term)
        # A late or repeated snapshot of what is committed here says nothing new: it must not take anything back.
        if index > self.commit_index:
            data = self._assemble(m)
            if data is None:
                received = 0 if self._incoming is None else self._incoming.received
                self._send(source, InstallSnapshotReply(self.current_term, index, received, False, m.round))
                return
            term, configuration = m.last_included_term, m.configuration
            self._install(Snapshot(index, term, m.digest, data, configuration, m.configuration_index))
        reply = InstallSnapshotReply(self.current_term, index, m.size, True, m.round)
        self._send(source, reply, self._install_needs_lsn(index))

    def _assemble(self, m: InstallSnapshot) -> bytes | None:
        """Keeps the part, if it is the next one. Returns the data once they are complete."""
        if self._incoming is None or not self._incoming.is_of(m):
            self._incoming = Incoming(m)
        if m.offset == self._incoming.received:
            self._incoming.add(m.data)
        if self._incoming.received < m.size:
            return None
        data, self._incoming = self._incoming.data(), None
        return data if crc32(data) == m.checksum else None

    def completed_by(self, m: InstallSnapshot) -> bytes | None:
        """The data of the snapshot of which this is the last part that is missing, before the node takes it."""
        incoming = self._incoming
        if m.last_included_index <= self.commit_index:
            return None
        had = incoming if incoming is not None and incoming.is_of(m) else None
        received = had.received if had is not None else 0
        if m.offset != received or received + len(m.data) != m.size:
            return None
        return had.data(m.data) if had is not None else m.data

    def _install(self, snapshot: Snapshot) -> None:
        """Takes over the leader's snapshot; see Figure 13, steps 5 to 8. It is committed beyond what this node knows.

        The log on the disk is replaced in one step. To delete entries first would be a mistake: the leader may have
        counted them, and a crash before the snapshot is durable would then lose what is committed. Only entries that
        contradict it are deleted: those from its last one on, if that is another one here.
        """
        index = snapshot.index
        keeps_suffix = self._holds_last_of(snapshot)
        if not keeps_suffix and index <= self.log.last_index:
            self._truncate(index)
        if keeps_suffix:
            self.log.compact(index)
            self._configurations.compact(index)
        else:
            self.log.clear(index, snapshot.term, snapshot.digest)
            self._replace_configurations(snapshot)
        lsn = self._save(snapshot)
        self.log.rests_on(lsn)
        self.commit_index = index
        # As with entries: they are applied, and counted, only once they are durable.
        event = self._reporter.snapshot_installed(self.now_us, snapshot, InstallSnapshot.__name__)
        self._pending.hold(lsn, ReleaseCommit(event))
        self._made.append(event)

    def _replace_configurations(self, snapshot: Snapshot) -> None:
        """The log is empty behind the snapshot. A later configuration that this node had goes with the entry that it
        was (openraft #1808)."""
        self._configurations.replace(snapshot.configuration_index, snapshot.configuration)
        self._use_configuration()

    def _holds_last_of(self, snapshot: Snapshot) -> bool:
        """Whether our log holds the last entry that the snapshot replaces: then what follows it may be the leader's."""
        return snapshot.index <= self.log.last_index and self.log.term_at(snapshot.index) == snapshot.term

    def _install_needs_lsn(self, index: int) -> int:
        """The leader counts the reply like the acknowledgement of all these entries, so they must be durable first."""
        return self.log.lsn(index)
