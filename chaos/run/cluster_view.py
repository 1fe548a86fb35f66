"""The state of a cluster as its nodes report it: who leads, what is committed, which anchor events have happened.

It is the same in every world: `live` feeds it from the event files, `sim` and `lockstep` from the reports of steps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from raft_chaos.chaos.faults.names import DISSENTER, HOLDER, LACKER, NEWEST, around
from raft_chaos.chaos.schedule.data import AnchorEvent
from raft_chaos.invariants.checkers.committed_members import CommittedMembers
from raft_chaos.invariants.events import (
    AnyEvent,
    CommitAdvanced,
    ConfigurationUsed,
    EntryAppended,
    EntryApplied,
    Event,
    LogTruncated,
    Members,
    Role,
    RoleChanged,
    SnapshotInstalled,
    SnapshotRestored,
    Started,
    VoteGranted,
)


@dataclass
class NodeView:
    """The state of a node as it reports it. `role` is None while the node is down."""

    role: Role | None = None
    term: int = 0
    commit_index: int = 0
    applied_index: int = 0
    applied_at_us: int = 0
    last: tuple[int, int] = (0, 0)
    """Term and index of its last entry. After a truncation, or a restart that lost entries, the term is unknown, 0,
    until it appends the next."""
    vote: tuple[int, str] = (0, "")
    """The term in which it voted last, and for whom."""
    members: Members | None = None
    """Those of the configuration that it uses; None for those with which the cluster began."""


class ClusterView:
    """All nodes' views. `happened` is called with each anchor event, its number (from 1), and who reported it. The
    cluster begins with the `first_voters` as its members, if there are any, and otherwise with all nodes (§6)."""

    def __init__(
        self,
        nodes: list[str],
        happened: Callable[[AnchorEvent, int, str], None],
        first_voters: Sequence[str] = (),
    ) -> None:
        self.nodes = {node: NodeView() for node in nodes}
        self.leaders: dict[int, str] = {}  # term -> who was first reported to lead it
        self.seen: dict[AnchorEvent, dict[int, str]] = {
            "leader_elected": {},
            "leader_committed": {},
            "vote_granted": {},
            "log_truncated": {},
            "voter_added": {},
        }
        """For each anchor event: its number -> who reported it."""
        self._uncommitted: dict[int, int] = {}  # term -> the number of its leader, until that leader commits
        self.new_commit_at_us = 0
        self.highest_commit = 0
        self._first_members = Members(voters=tuple(first_voters or nodes))
        self.members = CommittedMembers(self._first_members)
        self.handlers: dict[type[Event], Callable[[Any], None]] = {
            EntryAppended: self._appended,
            LogTruncated: self._truncated,
            EntryApplied: self._applied,
            CommitAdvanced: self._committed,
            ConfigurationUsed: self._configuration_used,
            SnapshotInstalled: self._installed,
            SnapshotRestored: self._applied,
            RoleChanged: self._role_changed,
            VoteGranted: self._vote_granted,
            Started: self._started,
        }
        self._happened = happened
        self._down: set[str] = set()  # used only for membership tests

    @property
    def leader(self) -> str | None:
        """The node that leads in the highest term, among those that are up; None if there is none."""
        leading = [(view.term, node) for node, view in self.nodes.items() if view.role == "leader"]
        return max(leading)[1] if leading else None

    def roles(self, leader: str | None) -> dict[str, list[str]]:
        """Who has which role now (`chaos.faults.names.ROLES`), if this node leads; None: nobody does."""
        last = {node: view.last for node, view in self.nodes.items() if view.role is not None}
        newest = max(last, key=last.__getitem__, default=None)
        roles: dict[str, list[str]] = {}
        if newest is not None and last[newest][1] > self.highest_commit:
            roles[NEWEST] = [newest]
        if leader is None:
            return roles
        roles |= around(leader, list(self.nodes))
        term, followers = self.nodes[leader].term, [node for node in last if node != leader]
        for role, nodes in (
            (HOLDER, [node for node in followers if last[node] == last.get(leader)]),
            (LACKER, [node for node in followers if last[node] != last.get(leader)]),
            (
                DISSENTER,
                [
                    node
                    for node in followers
                    if self.nodes[node].vote[0] == term != 0 and self.nodes[node].vote[1] != leader
                ],
            ),
        ):
            if nodes:
                roles[role] = nodes[:1]
        return roles

    def observe(self, event: AnyEvent) -> None:
        """One event of a node, in that node's own order."""
        handler = self.handlers.get(type(event))
        if handler is not None:
            handler(event)

    def up(self, node: str) -> None:
        """A new incarnation of the node is about to report."""
        self._down.discard(node)

    def gone(self, node: str) -> None:
        """The node is down; events that it wrote before may still arrive."""
        self._down.add(node)
        self.nodes[node].role = None

    def status(self, node: str, role: Role | None, term: int) -> None:
        """Role and term of a node, from its reports or from its status answer."""
        view = self.nodes[node]
        view.role, view.term = (None if node in self._down else role), term
        if role == "leader" and term not in self.leaders:
            self.leaders[term] = node
            number = self._uncommitted[term] = len(self.leaders)
            self._anchor("leader_elected", number, node)

    def _appended(self, event: EntryAppended) -> None:
        self.nodes[event.node].last = (event.term, event.index)

    def _truncated(self, event: LogTruncated) -> None:
        self.nodes[event.node].last = (0, event.from_index - 1)
        self._anchor("log_truncated", len(self.seen["log_truncated"]) + 1, event.node)

    def _configuration_used(self, event: ConfigurationUsed) -> None:
        """A leader begins to use one that it appends, so a new voter in it is one that this leader adds."""
        self.members.on_used(event)
        view = self.nodes[event.node]
        before, view.members = view.members or self._first_members, event.members
        is_new = {*event.members.voters}.difference(before.voters, before.old_voters)
        if is_new and view.role == "leader":
            self._anchor("voter_added", len(self.seen["voter_added"]) + 1, event.node)

    def _installed(self, event: SnapshotInstalled) -> None:
        view = self.nodes[event.node]
        view.commit_index = event.index
        if view.last[1] < event.index:
            view.last = (event.term, event.index)

    def _applied(self, event: EntryApplied | SnapshotRestored) -> None:
        view = self.nodes[event.node]
        view.applied_index, view.applied_at_us = event.index, event.t_us

    def _committed(self, event: CommitAdvanced) -> None:
        self.nodes[event.node].commit_index = event.index
        self.members.on_commit(event)
        if event.index > self.highest_commit:
            self.highest_commit, self.new_commit_at_us = event.index, event.t_us
        if event.term in self._uncommitted and self.leaders[event.term] == event.node:
            self._anchor("leader_committed", self._uncommitted.pop(event.term), event.node)

    def _role_changed(self, event: RoleChanged) -> None:
        self.status(event.node, event.role, event.term)

    def _vote_granted(self, event: VoteGranted) -> None:
        self.nodes[event.node].vote = (event.term, event.candidate)
        self._anchor("vote_granted", len(self.seen["vote_granted"]) + 1, event.node)

    def _started(self, event: Started) -> None:
        """A node comes back with what it had synced: its log may have become shorter."""
        self.members.on_started(event)
        before = self.nodes[event.node]
        is_same = before.last[1] == event.last_index
        self.nodes[event.node] = NodeView(
            "follower",
            event.term,
            event.base_index,
            last=before.last if is_same else (0, event.last_index),
            vote=(event.term, event.voted_for) if event.voted_for is not None else (0, ""),
        )

    def _anchor(self, event: AnchorEvent, number: int, reporter: str) -> None:
        self.seen[event][number] = reporter
        self._happened(event, number, reporter)
