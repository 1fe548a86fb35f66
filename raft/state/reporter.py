"""Makes the events that a core reports, with its name and incarnation; `invariants.events` defines their meaning."""

from __future__ import annotations

from raft_chaos.invariants.events import (
    CommitAdvanced,
    ConfigurationUsed,
    EntryAppended,
    LogTruncated,
    PreVoteStarted,
    Role,
    RoleChanged,
    SnapshotInstalled,
    SnapshotTaken,
    Started,
    VoteGranted,
)
from raft_chaos.raft.state.configuration import Configuration, decode_configuration
from raft_chaos.raft.state.configuration_mark import is_configuration
from raft_chaos.raft.state.log import Log
from raft_chaos.raft.state.messages import Snapshot


class Reporter:
    """Makes one incarnation's events. The core decides when each may be reported."""

    __slots__ = ("_inc", "_node")

    def __init__(self, node: str, incarnation: int) -> None:
        self._node = node
        self._inc = incarnation

    def started(self, t_us: int, term: int, voted_for: str | None, log: Log) -> Started:
        last_index, digest = log.last_index, log.digest(log.last_index)
        return Started(
            node=self._node,
            inc=self._inc,
            t_us=t_us,
            term=term,
            voted_for=voted_for,
            last_index=last_index,
            digest=digest,
            base_index=log.base_index,
            base_term=log.base_term,
            base_digest=log.base_digest,
        )

    def role_changed(self, t_us: int, role: Role, term: int, leader: str | None) -> RoleChanged:
        return RoleChanged(node=self._node, inc=self._inc, t_us=t_us, role=role, term=term, leader=leader)

    def vote_granted(self, t_us: int, term: int, candidate: str) -> VoteGranted:
        return VoteGranted(node=self._node, inc=self._inc, t_us=t_us, term=term, candidate=candidate)

    def pre_vote_started(self, t_us: int, term: int, log: Log) -> PreVoteStarted:
        return PreVoteStarted(
            node=self._node,
            inc=self._inc,
            t_us=t_us,
            term=term,
            last_term=log.last_term,
            last_index=log.last_index,
        )

    def entry_appended(self, t_us: int, index: int, log: Log) -> EntryAppended:
        entry, digest = log.entry(index), log.digest(index)
        return EntryAppended(
            node=self._node,
            inc=self._inc,
            t_us=t_us,
            index=index,
            term=entry.term,
            digest=digest,
            size=len(entry.command),
            members=decode_configuration(entry.command).as_members() if is_configuration(entry.command) else None,
        )

    def configuration_used(self, t_us: int, index: int, configuration: Configuration) -> ConfigurationUsed:
        members = configuration.as_members()
        return ConfigurationUsed(node=self._node, inc=self._inc, t_us=t_us, index=index, members=members)

    def log_truncated(self, t_us: int, from_index: int) -> LogTruncated:
        return LogTruncated(node=self._node, inc=self._inc, t_us=t_us, from_index=from_index)

    def commit_advanced(self, t_us: int, index: int, term: int) -> CommitAdvanced:
        return CommitAdvanced(node=self._node, inc=self._inc, t_us=t_us, index=index, term=term)

    def snapshot_taken(self, t_us: int, snapshot: Snapshot, state: str) -> SnapshotTaken:
        return SnapshotTaken(
            node=self._node,
            inc=self._inc,
            t_us=t_us,
            index=snapshot.index,
            term=snapshot.term,
            digest=snapshot.digest,
            state=state,
            members_index=snapshot.configuration_index,
        )

    def snapshot_installed(self, t_us: int, snapshot: Snapshot, via: str) -> SnapshotInstalled:
        return SnapshotInstalled(
            node=self._node,
            inc=self._inc,
            t_us=t_us,
            index=snapshot.index,
            term=snapshot.term,
            digest=snapshot.digest,
            via=via,
            members=snapshot.configuration.as_members() if snapshot.configuration is not None else None,
            members_index=snapshot.configuration_index,
        )
