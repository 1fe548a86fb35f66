"""What only grows: the term over the whole run; commit_index and last_applied within an incarnation (Figure 2)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from raft_chaos.invariants.checkers.base import Checker, Handlers, who
from raft_chaos.invariants.checkers.node_logs import ReportedLog, base_of
from raft_chaos.invariants.events import (
    CommitAdvanced,
    EntryAppended,
    EntryApplied,
    RoleChanged,
    SnapshotInstalled,
    SnapshotRestored,
    SnapshotTaken,
    Started,
    VoteGranted,
)

Termed = Started | RoleChanged | VoteGranted | EntryAppended | CommitAdvanced


class _Node:
    """A node's latest term, commit and applied entry, each as the event that reported it."""

    __slots__ = ("applied", "commit", "term")

    def __init__(self) -> None:
        self.term: Termed | None = None
        self.commit: CommitAdvanced | SnapshotInstalled | None = None
        self.applied: EntryApplied | SnapshotRestored | None = None


class Monotonicity(Checker):
    """Terms, commit_index and last_applied never decrease, and last_applied <= commit_index <= last log index.

    commit_index and last_applied are volatile: after a restart they start again from 0, or from the snapshot. The state
    of a snapshot takes last_applied forward to its index.
    """

    invariant = "monotonicity"
    rule = "A server's current term never decreases, not even across restarts (Figure 2, §5.1)."
    commit_grows = "commit_index only increases while a server runs (Figure 2)."
    commit_in_log = "A server commits only entries that its log holds (Figure 2, AppendEntries step 5)."
    applied_in_order = "Committed entries are applied one by one, in the order of the log (Figure 2, §5.3)."
    snapshot_forward = "A snapshot never takes the state machine back to an earlier state (§7)."
    snapshot_applied = "A snapshot is of the state machine's state, so it holds only applied entries (§7)."
    applied_committed = "Only committed entries are applied (Figure 2, §5.3)."
    nothing_judged = "no term, commit or applied entry was reported"

    def __init__(self, logs: Mapping[str, ReportedLog]) -> None:
        super().__init__()
        self._logs = logs
        self._nodes: defaultdict[str, _Node] = defaultdict(_Node)

    def handlers(self) -> Handlers:
        return {
            Started: self._on_started,
            RoleChanged: self._on_term,
            VoteGranted: self._on_term,
            EntryAppended: self._on_appended,
            CommitAdvanced: self._on_commit,
            EntryApplied: self._on_applied,
            SnapshotInstalled: self._on_installed,
            SnapshotRestored: self._on_restored,
            SnapshotTaken: self._on_taken,
        }

    def _on_started(self, event: Started) -> None:
        node = self._nodes[event.node]
        node.commit = base_of(event)
        node.applied = None
        self._on_term(event)

    def _on_term(self, event: Started | RoleChanged | VoteGranted | CommitAdvanced) -> None:
        self.judged += 1
        node = self._nodes[event.node]
        earlier = node.term
        if earlier is not None and event.term < earlier.term:
            self.violate(
                f"{event.node} went back from term {earlier.term} (incarnation {earlier.inc}) "
                f"to term {event.term} (incarnation {event.inc})",
                earlier,
                event,
            )
        node.term = event

    def _on_appended(self, event: EntryAppended) -> None:
        # The entry's term is often below the current term. But it was the current term once, so it is a lower bound.
        node = self._nodes[event.node]
        if node.term is None or event.term > node.term.term:
            node.term = event

    def _on_commit(self, event: CommitAdvanced) -> None:
        self._on_term(event)
        node = self._nodes[event.node]
        earlier = node.commit
        if earlier is not None and event.index <= earlier.index:
            self.violate(
                f"{who(event)} set commit_index to {event.index} after {earlier.index}",
                earlier,
                event,
                rule=self.commit_grows,
            )
        log = self._logs[event.node]
        if event.index > len(log):
            self.violate(
                f"{who(event)} committed entry {event.index}, but its log ends at {len(log)}",
                *log[-1:],
                event,
                rule=self.commit_in_log,
            )
        node.commit = event

    def _on_installed(self, event: SnapshotInstalled) -> None:
        self.judged += 1
        node = self._nodes[event.node]
        if node.commit is not None and event.index <= node.commit.index:
            self.violate(
                f"{who(event)} installed a snapshot up to entry {event.index} with commit_index at {node.commit.index}",
                node.commit,
                event,
                rule=self.commit_grows,
            )
        node.commit = event

    def _on_restored(self, event: SnapshotRestored) -> None:
        self.judged += 1
        node = self._nodes[event.node]
        if node.applied is not None and event.index <= node.applied.index:
            self.violate(
                f"{who(event)} restored the snapshot up to entry {event.index} after it had applied "
                f"{node.applied.index}",
                node.applied,
                event,
                rule=self.snapshot_forward,
            )
        self._judge_committed(event, node)
        node.applied = event

    def _on_taken(self, event: SnapshotTaken) -> None:
        self.judged += 1
        applied = self._nodes[event.node].applied
        if applied is None or event.index > applied.index:
            self.violate(
                f"{who(event)} took a snapshot up to entry {event.index} after it had applied "
                f"{applied.index if applied is not None else 0}",
                applied,
                event,
                rule=self.snapshot_applied,
            )

    def _on_applied(self, event: EntryApplied) -> None:
        self.judged += 1
        node = self._nodes[event.node]
        earlier, commit = node.applied, node.commit
        last_applied = earlier.index if earlier is not None else 0
        if event.index != last_applied + 1:
            self.violate(
                f"{who(event)} applied entry {event.index} after {last_applied}",
                *([earlier] if earlier is not None else []),
                event,
                rule=self.applied_in_order,
            )
        if commit is None or event.index > commit.index:
            self._judge_committed(event, node)
        node.applied = event

    def _judge_committed(self, event: EntryApplied | SnapshotRestored, node: _Node) -> None:
        commit_index = node.commit.index if node.commit is not None else 0
        if event.index > commit_index:
            self.violate(
                f"{who(event)} applied entry {event.index} with commit_index at {commit_index}",
                node.commit,
                event,
                rule=self.applied_committed,
            )
