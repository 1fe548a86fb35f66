"""What a node may delete from its own log (a leader nothing, no node a committed entry), and Log Matching (§5.3)."""

from __future__ import annotations

from collections.abc import Mapping

from raft_chaos.invariants.checkers.base import Checker, Handlers, who
from raft_chaos.invariants.checkers.node_logs import Held, ReportedLog, base_of
from raft_chaos.invariants.events import (
    CommitAdvanced,
    EntryAppended,
    LogTruncated,
    RoleChanged,
    SnapshotInstalled,
    SnapshotTaken,
    Started,
)


class LeaderAppendOnly(Checker):
    """A leader only appends to its own log while it leads. Judged in that node's own order of events."""

    invariant = "leader_append_only"
    rule = "A leader never overwrites or deletes entries in its own log, it only appends new ones (Figure 3, §5.3)."
    nothing_judged = "no leader appended an entry"

    def __init__(self, logs: Mapping[str, ReportedLog]) -> None:
        super().__init__()
        self._logs = logs
        self._leading: dict[str, RoleChanged] = {}

    def handlers(self) -> Handlers:
        return {
            RoleChanged: self._on_role,
            Started: self._on_started,
            EntryAppended: self._on_appended,
            LogTruncated: self._on_truncated,
            SnapshotInstalled: self._on_installed,
        }

    def _on_installed(self, event: SnapshotInstalled) -> None:
        if (elected := self._leading.get(event.node)) is not None:
            self.judged += 1
            self.violate(
                f"{who(event)}, leader of term {elected.term}, replaced its log up to entry {event.index} by another "
                "node's snapshot",
                elected,
                event,
            )

    def _on_role(self, event: RoleChanged) -> None:
        if event.role == "leader":
            self._leading[event.node] = event
        else:
            self._leading.pop(event.node, None)

    def _on_started(self, event: Started) -> None:
        self._leading.pop(event.node, None)  # all servers start as followers (§5.2)

    def _on_appended(self, event: EntryAppended) -> None:
        elected = self._leading.get(event.node)
        if elected is None:
            return
        self.judged += 1
        log = self._logs[event.node]
        if 1 <= event.index <= len(log):
            self.violate(
                f"{who(event)}, leader of term {elected.term}, overwrote entry {event.index} of its own log",
                log[event.index - 1],
                elected,
                event,
            )

    def _on_truncated(self, event: LogTruncated) -> None:
        elected = self._leading.get(event.node)
        if elected is None:
            return
        self.judged += 1
        log = self._logs[event.node]
        if 1 <= event.from_index <= len(log):
            self.violate(
                f"{who(event)}, leader of term {elected.term}, deleted entries {event.from_index} to {len(log)} "
                "of its own log",
                log[event.from_index - 1],
                elected,
                event,
            )


class CommittedLogAppendOnly(Checker):
    """A node never deletes an entry that it reported committed, in this incarnation or an earlier one.

    Only truncations are judged. A crash that loses committed entries is a matter of `durability`; what the node then
    lacks is no longer held against it here.
    """

    invariant = "committed_log_append_only"
    rule = "A server that removes conflicting entries never removes committed ones (§5.3; CommittedLogAppendOnlyProp)."
    nothing_judged = "no node committed an entry"

    def __init__(self, logs: Mapping[str, ReportedLog]) -> None:
        super().__init__()
        self._logs = logs
        self._committed: dict[str, CommitAdvanced] = {}  # the highest commit of each node

    def handlers(self) -> Handlers:
        return {CommitAdvanced: self._on_commit, LogTruncated: self._on_truncated, Started: self._on_started}

    def _on_commit(self, event: CommitAdvanced) -> None:
        self.judged += 1
        highest = self._committed.get(event.node)
        if highest is None or event.index > highest.index:
            self._committed[event.node] = event

    def _on_started(self, event: Started) -> None:
        highest = self._committed.get(event.node)
        if highest is not None and event.last_index < highest.index:
            del self._committed[event.node]

    def _on_truncated(self, event: LogTruncated) -> None:
        self.judged += 1
        committed, log = self._committed.get(event.node), self._logs[event.node]
        if committed is None or not 1 <= event.from_index <= min(committed.index, len(log)):
            return
        del self._committed[event.node]
        first, last = event.from_index, committed.index
        entries = f"entry {first}" if first == last else f"entries {first} to {last}"
        self.violate(
            f"{who(event)} deleted {entries} of its log, which it had reported committed in term {committed.term} "
            f"(incarnation {committed.inc})",
            log[first - 1],
            committed,
            event,
        )


class LogMatching(Checker):
    """An (index, term) identifies one log prefix, on all nodes and over the whole run. No node's log has a gap.

    A digest covers the whole prefix, so one comparison per entry is enough.
    """

    invariant = "log_matching"
    rule = (
        "If two logs hold an entry with the same index and term, they are identical up to that index (Figure 3, §5.3)."
    )
    ascending = "Terms never decrease along a log: a leader adds entries of its own term to what it has (§5.3)."
    contiguous = "A log grows at its end: entries are appended after the last one, or replace what was deleted (§5.3)."
    compacted = "A snapshot replaces the entries up to its last index, and is of the same log (§7)."
    nothing_judged = "no entry was appended"

    def __init__(self, logs: Mapping[str, ReportedLog]) -> None:
        super().__init__()
        self._logs = logs
        self._first: dict[tuple[int, int], Held | SnapshotTaken] = {}

    def handlers(self) -> Handlers:
        return {
            EntryAppended: self._on_appended,
            SnapshotTaken: self._on_taken,
            SnapshotInstalled: self._on_snapshot,
            Started: self._on_started,
        }

    def _on_started(self, event: Started) -> None:
        base = base_of(event)
        if base is not None:
            self._on_snapshot(base)

    def _on_taken(self, event: SnapshotTaken) -> None:
        self._on_snapshot(event)
        log = self._logs[event.node]
        own = log[event.index - 1] if 1 <= event.index <= len(log) else None
        if event.index > len(log) or (own is not None and own.digest != event.digest):
            self.violate(
                f"{who(event)} took a snapshot in place of entries 1 to {event.index}, which is not of its own log",
                own,
                event,
                rule=self.compacted,
            )

    def _on_snapshot(self, event: SnapshotInstalled | SnapshotTaken) -> None:
        self.judged += 1
        first = self._first.setdefault((event.index, event.term), event)
        if first.digest != event.digest:
            self.violate(
                f"the snapshot of {who(event)} replaces entries 1 to {event.index}, the last one of term {event.term}, "
                f"but {who(first)} holds another log up to that entry",
                first,
                event,
                rule=self.compacted,
            )

    def _on_appended(self, event: EntryAppended) -> None:
        self.judged += 1
        first = self._first.setdefault((event.index, event.term), event)
        if first.digest != event.digest:
            self.violate(
                f"{who(first)} and {who(event)} both hold an entry {event.index} of term {event.term}, "
                "but their logs up to it differ",
                first,
                event,
            )
        log = self._logs[event.node]
        if event.index != len(log) + 1:
            self.violate(
                f"{who(event)} appended entry {event.index} to a log that ended at {len(log)}",
                *log[-1:],
                event,
                rule=self.contiguous,
            )
        elif log and (last := log[-1]) is not None and event.term < last.term:
            self.violate(
                f"{who(event)} appended entry {event.index} of term {event.term} after one of term {last.term}",
                last,
                event,
                rule=self.ascending,
            )
