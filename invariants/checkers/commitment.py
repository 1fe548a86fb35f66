"""Leader Completeness and State Machine Safety (§5.4), and what they rest on: which entries a leader commits (§5.4.2).

All judge by the commits that nodes report. The digest of a committed entry comes from the committing node's own log,
as that node had reported it by then. A commit beyond the end of that log has no digest and is left to `monotonicity`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from raft_chaos.invariants.checkers.base import Checker, Handlers, who
from raft_chaos.invariants.checkers.node_logs import Held, ReportedLog, first_difference
from raft_chaos.invariants.events import (
    CommitAdvanced,
    EntryApplied,
    RoleChanged,
    SnapshotRestored,
    SnapshotTaken,
    Started,
)


class CommittedLog:
    """The log that all nodes commit, up to the highest commit so far, and the event that committed each entry first.

    A node that begins with another one's snapshot does not say what was before it. So there may be gaps, which the logs
    of other nodes fill later. A seam is an index whose entry and the next one are not both known, or come from logs of
    which none has both: digests say that they belong together only within one log.
    """

    def __init__(self) -> None:
        self.entries: ReportedLog = []
        self.commits: list[CommitAdvanced] = []
        self._seams: list[int] = []  # in ascending order; 0 if the first entry is not known

    def add(self, commit: CommitAdvanced, log: ReportedLog) -> int:
        """Records that `log`, which must hold `commit.index`, is committed up to there.

        Returns 0. If `log` contradicts what was committed before, records nothing and returns the lowest index at
        which it does.
        """
        known = len(self.entries)
        common = min(known, commit.index)
        # Digests are chained, so one comparison at each seam and at the end is enough.
        for end in (*self._seams, common) if self._seams else (common,):
            if 0 < end <= common and _differ(log[end - 1], self.entries[end - 1]):
                return first_difference(log, self.entries, end)
        if self._seams:
            self._close(log, common)
        if commit.index > known:
            self.entries.extend(log[known : commit.index])
            self.commits.extend([commit] * (commit.index - known))
            if log[known] is None or (known and log[known - 1] is None):
                self._seams.append(known)
        return 0

    def _close(self, log: ReportedLog, common: int) -> None:
        """Fills what gaps the log can, up to `common`, and closes the seams over which it goes."""
        entries = self.entries
        if common < len(entries) and entries[common - 1] is None:
            self._seams.append(common)  # what is filled ends in the middle of a gap, or just before what is known
        for place in range(self._seams[0], common):
            if entries[place] is None:
                entries[place] = log[place]
        self._seams = sorted(
            seam for seam in self._seams if seam >= common or log[seam] is None or (seam and log[seam - 1] is None)
        )


def _differ(one: Held | None, other: Held | None) -> bool:
    return one is not None and other is not None and one.digest != other.digest


@dataclass(slots=True)
class Commit:
    """A commit, and the entry at its index in the committing node's log."""

    event: CommitAdvanced
    entry: Held


@dataclass(slots=True)
class Leader:
    """A leader, and a copy of its log when it was elected: commits of earlier terms may be observed much later."""

    event: RoleChanged
    log: ReportedLog
    convicted: bool = False


class LeaderCommitsOwnTerm(Checker):
    """A leader moves its commit index only to entries of its own term. Judged in that node's own order of events.

    An entry of an earlier term is committed along with a later one of the leader's term, never by itself: although a
    majority holds it, a later leader may not (Fig. 8). Followers commit whatever the leader tells them.
    """

    invariant = "leader_commits_own_term"
    rule = "A leader commits by counting replicas only entries of its own term (§5.4.2; NeverCommitEntryPrevTermsProp)."
    nothing_judged = "no leader committed an entry"

    def __init__(self, logs: Mapping[str, ReportedLog]) -> None:
        super().__init__()
        self._logs = logs
        self._elected: dict[str, RoleChanged] = {}  # the last time that each node was, in its current incarnation

    def handlers(self) -> Handlers:
        return {RoleChanged: self._on_role, Started: self._on_started, CommitAdvanced: self._on_commit}

    def _on_role(self, event: RoleChanged) -> None:
        if event.role == "leader":
            self._elected[event.node] = event

    def _on_started(self, event: Started) -> None:
        self._elected.pop(event.node, None)

    def _on_commit(self, event: CommitAdvanced) -> None:
        elected = self._elected.get(event.node)
        # A leader may report a commit only after it has stepped down, since its own copy must be durable first.
        if elected is None or elected.term != event.term:
            return
        log = self._logs[event.node]
        if not 1 <= event.index <= len(log):
            return
        self.judged += 1
        entry = log[event.index - 1]
        if entry is not None and entry.term != event.term:
            self.violate(
                f"{who(event)}, leader of term {event.term}, committed up to entry {event.index}, which is of term "
                f"{entry.term}",
                entry,
                elected,
                event,
            )


class LeaderCompleteness(Checker):
    """An entry committed in term c is in the log of the leader of each term above c when that leader is elected.

    The term is the one in which a node reported the commit, never the entry's own term: an entry of term 2 that is
    committed only in term 4 may be missing at the leader of term 3 (Fig. 8). Since digests are chained, the highest
    commit of a term covers the lower ones of the same log. Commits that contradict that log are kept one by one, so
    that every commit is compared with every leader, in whatever order they are observed.
    """

    invariant = "leader_completeness"
    rule = "An entry committed in a term is in the logs of the leaders of all higher terms (Figure 3, §5.4.3)."
    nothing_judged = "no leader was elected after a commit of an earlier term"

    def __init__(self, logs: Mapping[str, ReportedLog]) -> None:
        super().__init__()
        self._logs = logs
        self._committed = CommittedLog()
        self._highest_commit: dict[int, Commit] = {}  # by the term it was reported in
        self._contradicting: list[Commit] = []
        self._leaders: dict[tuple[str, int, int], Leader] = {}
        self._highest_leader_term = 0

    def handlers(self) -> Handlers:
        return {CommitAdvanced: self._on_commit, RoleChanged: self._on_role}

    def _on_commit(self, event: CommitAdvanced) -> None:
        log = self._logs[event.node]
        if not 1 <= event.index <= len(log):
            return
        entry = log[event.index - 1]
        if entry is None:
            return  # a snapshot replaces it, and was committed before
        contradicts = self._committed.add(event, log)
        highest = self._highest_commit.get(event.term)
        if not contradicts and highest is not None and highest.event.index >= event.index:
            return  # the usual case: another node has reported this commit or a higher one
        commit = Commit(event, entry)
        if contradicts:
            self._contradicting.append(commit)
        else:
            self._highest_commit[event.term] = commit
        if event.term < self._highest_leader_term:
            for leader in self._leaders.values():
                self._compare(commit, leader)

    def _on_role(self, event: RoleChanged) -> None:
        elected = (event.node, event.inc, event.term)
        if event.role != "leader" or elected in self._leaders:
            return
        leader = Leader(event, self._logs[event.node].copy())
        self._leaders[elected] = leader
        self._highest_leader_term = max(self._highest_leader_term, event.term)
        for commit in self._highest_commit.values():
            self._compare(commit, leader)
        for commit in self._contradicting:
            self._compare(commit, leader)

    def _compare(self, commit: Commit, leader: Leader) -> None:
        committed, log = commit.entry, leader.log
        if commit.event.term >= leader.event.term:
            return
        self.judged += 1
        lacks = committed.index > len(log)
        held = log[committed.index - 1] if not lacks else None
        if held is None and not lacks:
            return  # behind a snapshot, which holds its whole prefix: `log_matching` judges which one that is
        if leader.convicted or (held is not None and held.digest == committed.digest):
            return
        leader.convicted = True
        what = "lacks" if held is None else "holds something else than"
        witness = (committed, commit.event, *([held] if held else []), leader.event)
        self.violate(
            f"{who(leader.event)}, elected leader of term {leader.event.term}, {what} entry {committed.index}, "
            f"which {who(commit.event)} reported committed in term {commit.event.term}",
            *witness,
        )


class StateMachineSafety(Checker):
    """All nodes commit and apply the same entry at each index, and are in the same state after it."""

    invariant = "state_machine_safety"
    rule = "If a server applied an entry at an index, no other server applies a different one there (Figure 3, §5.4.3)."
    committed_once = "A committed entry is never replaced: all servers commit the same log (§5.3, §5.4)."
    deterministic = "Servers that applied the same entries are in the same state (§2)."
    same_state = "A snapshot holds the state behind all entries that it replaces (§7)."
    nothing_judged = "nothing was committed or applied"

    def __init__(self, logs: Mapping[str, ReportedLog]) -> None:
        super().__init__()
        self._logs = logs
        self._committed = CommittedLog()
        self._applied: dict[int, EntryApplied] = {}
        self._snapshots: dict[int, SnapshotTaken | SnapshotRestored] = {}  # the first at each index

    def handlers(self) -> Handlers:
        return {
            CommitAdvanced: self._on_commit,
            EntryApplied: self._on_applied,
            SnapshotTaken: self._on_snapshot,
            SnapshotRestored: self._on_snapshot,
        }

    def _on_commit(self, event: CommitAdvanced) -> None:
        log = self._logs[event.node]
        if not 1 <= event.index <= len(log):
            return
        self.judged += 1
        index = self._committed.add(event, log)
        if index:
            known, first = self._committed.entries[index - 1], self._committed.commits[index - 1]
            own = log[index - 1]
            assert known is not None and own is not None, "they differ"
            self.violate(
                f"{who(first)} and {who(event)} committed different logs from entry {index} on "
                f"(terms {known.term} and {own.term})",
                known,
                first,
                own,
                event,
                rule=self.committed_once,
            )

    def _on_applied(self, event: EntryApplied) -> None:
        self.judged += 1
        first = self._applied.setdefault(event.index, event)
        if first.term != event.term:
            self.violate(
                f"{who(first)} applied an entry of term {first.term} at index {event.index}, "
                f"{who(event)} one of term {event.term}",
                first,
                event,
            )
        elif first.digest != event.digest:
            self.violate(
                f"{who(first)} and {who(event)} applied entry {event.index} of term {event.term} "
                "and are in different states",
                first,
                event,
                rule=self.deterministic,
            )
        if self._snapshots and (snapshot := self._snapshots.get(event.index)) is not None:
            self._compare(snapshot, event)

    def _on_snapshot(self, event: SnapshotTaken | SnapshotRestored) -> None:
        self.judged += 1
        first = self._snapshots.setdefault(event.index, event)
        if first is not event:
            self._compare(first, event)
        if (applied := self._applied.get(event.index)) is not None:
            self._compare(event, applied)

    def _compare(
        self, snapshot: SnapshotTaken | SnapshotRestored, other: EntryApplied | SnapshotTaken | SnapshotRestored
    ) -> None:
        """The state of a snapshot is the one behind all entries that it replaces, on every node."""
        if snapshot.term != other.term or _state(snapshot) != _state(other):
            self.violate(
                f"the snapshot of {who(snapshot)} up to entry {snapshot.index} (term {snapshot.term}) has another "
                f"state than {who(other)} has behind entry {other.index} (term {other.term})",
                snapshot,
                other,
                rule=self.same_state,
            )


def _state(event: EntryApplied | SnapshotTaken | SnapshotRestored) -> str:
    return event.state if isinstance(event, SnapshotTaken) else event.digest
