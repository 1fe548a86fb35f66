"""Each node's role, term, vote, log and commit, as its own events report them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from raft_chaos.invariants.events import (
    CommitAdvanced,
    EntryAppended,
    LogTruncated,
    NodeExited,
    NodeKilled,
    NodeLaunched,
    NodePaused,
    NodeResumed,
    RoleChanged,
    SnapshotInstalled,
    Started,
    VoteGranted,
)
from raft_chaos.reports.spacetime.diagram import Life, NodeState
from raft_chaos.reports.story.happens_before import Item

COMPARED = 64
"""The number of last entries of each log that are compared with those of other logs."""


@dataclass
class _Node:
    life: Life = "down"
    role: str = ""
    term: int = 0
    vote: str | None = None
    commit: int = 0
    runs: list[tuple[int, int]] = field(default_factory=list)
    entries: list[tuple[int, str]] = field(default_factory=list)  # (term, digest)

    def append(self, index: int, term: int, digest: str) -> None:
        if not 1 <= index <= len(self.entries) + 1:
            return  # a log with a hole: nothing is known of the entries before
        self.truncate(index)
        self.entries.append((term, digest))
        last = self.runs[-1] if self.runs else (0, 0)
        if last[0] == term and last[1]:
            self.runs[-1] = (term, last[1] + 1)
        else:
            self.runs.append((term, 1))

    def begin_at(self, index: int, term: int, digest: str) -> None:
        """A snapshot replaces the entries up to this one, of which only this one is known (term 0: unknown)."""
        if index <= len(self.entries) and self.entries[index - 1] == (term, digest):
            return
        self.entries = [*[(0, "")] * (index - 1), (term, digest)]
        self.runs = [(0, index - 1), (term, 1)] if index > 1 else [(term, 1)]

    def truncate(self, index: int) -> None:
        """Removes the entries from `index` on."""
        gone = len(self.entries) - max(index - 1, 0)
        if gone <= 0:
            return
        del self.entries[-gone:]
        while gone:
            term, number = self.runs.pop()
            if number > gone:
                self.runs.append((term, number - gone))
            gone -= min(gone, number)

    def enter(self, term: int) -> None:
        """A new term has no vote yet (§5.2)."""
        if term > self.term:
            self.term, self.vote = term, None

    def frozen(self) -> NodeState:
        return NodeState(self.life, self.role, self.term, self.vote, self.commit, tuple(self.runs))


class States:
    """The states of these nodes, which `observe` changes. `taken` gives those that changed since it was last called."""

    def __init__(self, nodes: Sequence[str]) -> None:
        self._nodes = {name: _Node() for name in nodes}
        self._changed = dict.fromkeys(nodes, True)

    def taken(self) -> dict[str, NodeState]:
        changed = {name: node.frozen() for name, node in self._nodes.items() if self._changed[name]}
        self._changed = dict.fromkeys(self._nodes, False)
        return changed

    def observe(self, item: Item) -> None:
        match item:
            case NodeLaunched() | NodeKilled() | NodeExited() | NodePaused() | NodeResumed():
                if item.subject in self._nodes:
                    self._changed[item.subject] = True
                    self._fate(self._nodes[item.subject], item)
            case (
                Started()
                | RoleChanged()
                | VoteGranted()
                | EntryAppended()
                | LogTruncated()
                | CommitAdvanced()
                | SnapshotInstalled()
            ):
                if item.node in self._nodes:
                    self._changed[item.node] = True
                    self._report(self._nodes[item.node], item)
            case _:
                pass

    def _fate(self, node: _Node, item: NodeLaunched | NodeKilled | NodeExited | NodePaused | NodeResumed) -> None:
        match item:
            case NodeKilled() | NodeExited():
                node.life, node.role = "down", ""
            case NodePaused():
                node.life = "paused"
            case NodeLaunched() | NodeResumed():
                node.life = "up"

    def _report(
        self,
        node: _Node,
        item: Started | RoleChanged | VoteGranted | EntryAppended | LogTruncated | CommitAdvanced | SnapshotInstalled,
    ) -> None:
        match item:
            case Started():
                node.life, node.role = "up", "follower"
                node.term, node.vote, node.commit = item.term, item.voted_for, item.base_index
                node.truncate(item.base_index + 1)
                if item.base_index:
                    node.begin_at(item.base_index, item.base_term, item.base_digest)
            case RoleChanged():
                node.role = item.role
                node.enter(item.term)
            case VoteGranted():
                node.enter(item.term)
                node.vote = item.candidate
            case EntryAppended():
                node.append(item.index, item.term, item.digest)
            case LogTruncated():
                node.truncate(item.from_index)
            case CommitAdvanced():
                node.commit = item.index
            case SnapshotInstalled():
                node.commit = item.index
                node.begin_at(item.index, item.term, item.digest)

    def unlike(self) -> tuple[int, ...]:
        """The indexes, near the ends of the logs, where entries of the same term differ."""
        kinds: Counter[tuple[int, int]] = Counter()
        longest = max((len(node.entries) for node in self._nodes.values()), default=0)
        start = max(0, longest - COMPARED)
        seen: set[tuple[int, int, str]] = set()  # asked for membership only
        for node in self._nodes.values():
            for index, (term, digest) in enumerate(node.entries[start:], start + 1):
                if (index, term, digest) not in seen:
                    seen.add((index, term, digest))
                    kinds[index, term] += 1
        return tuple(sorted({index for (index, _), number in kinds.items() if number > 1}))
