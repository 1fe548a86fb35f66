"""Commitment (§5.3, §5.4.2): which entries are safe, and which of them may be applied."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import chain
from operator import attrgetter

from raft_chaos.invariants.events import CommitAdvanced, SnapshotInstalled
from raft_chaos.raft.core.terms import Terms
from raft_chaos.raft.state.held import ReleaseCommit
from raft_chaos.raft.state.messages import Committed, Entry, SaveSnapshot, Snapshot
from raft_chaos.raft.state.progress import Progress
from raft_chaos.raft.state.ready import Write

_match_index = attrgetter("match_index")


class Commitment(Terms):
    """The commit index: a leader advances it, a follower learns it from the leader, both apply up to it."""

    def _advance_commit(self) -> None:
        """Commits up to the largest index that is durable on a majority, if its entry is of this term."""
        index = self._reached(self.log.durable_index, _match_index)
        if index > self.commit_index and self._may_commit(index):
            self._set_commit_index(index)

    def _reached(self, own: int, of: Callable[[Progress], int]) -> int:
        """The largest number that a majority of the voters has reached: `own` is this node's, if it votes, and `of`
        tells a follower's. In joint consensus a majority of the old ones and one of the new ones (§6)."""
        node, progress, least = self.node, self.progress, -1
        for voters in self._electorates:
            numbers = [own if voter == node else of(progress[voter]) for voter in voters]
            numbers.sort()
            reached = numbers[len(numbers) - self._majority(len(numbers))]
            if least < 0 or reached < least:
                least = reached
        return least

    def _is_quorum(self, nodes: set[str]) -> bool:
        """Whether these nodes decide: a majority of the voters, and in joint consensus of the old ones too (§6)."""
        return all(len(nodes.intersection(voters)) >= self._majority(len(voters)) for voters in self._electorates)

    def _majority(self, voters: int) -> int:
        return voters // 2 + 1

    def _may_commit(self, index: int) -> bool:
        """§5.4.2, Fig. 8: entries of earlier terms are never committed by counting replicas."""
        return self.log.term_at(index) == self.current_term

    def _set_commit_index(self, index: int) -> None:
        self.commit_index = index
        event = self._reporter.commit_advanced(self.now_us, index, self.current_term)
        # A node applies only durable entries, so no crash loses an entry whose client already has the answer.
        lsn = max(self._hard_state_lsn, self.log.lsn(index))
        if lsn <= self._pending.durable_lsn:
            self._release_commit(event)
        else:
            self._pending.hold(lsn, ReleaseCommit(event))
            self._made.append(event)

    def _release_commit(self, event: CommitAdvanced | SnapshotInstalled) -> None:
        self._events.append(event)
        self._apply_limit = max(self._apply_limit, event.index)

    def _next_write(self) -> Write | None:
        """The next write, if none is under way. It says the commit index too, if that is new to the disk: a write for
        that alone would cost a sync, and would bring nothing that the leader does not tell."""
        write = self._pending.next_write()
        if write is None or not self.features.persist_commit:
            return write
        if isinstance(write.records[0], SaveSnapshot):
            self._commit_written = write.records[0].snapshot.index  # the new log says no more than that
            return write
        index = self._written_commit(write.lsn)
        if index <= self._commit_written:
            return write
        self._commit_written = index
        return Write(write.lsn, [*write.records, Committed(index)])

    def _written_commit(self, lsn: int) -> int:
        """The commit index as far as the records up to `lsn` have its entries; 0 if they have none of the log.

        A commit index without its entries would be false on the disk: the node would start as if it had them."""
        index, log = self.commit_index, self.log
        while index > log.base_index and log.lsn(index) > lsn:
            index -= 1
        return index if log.lsn(index) <= lsn else 0

    def _take_committed(self) -> Iterable[tuple[int, Entry | Snapshot]]:
        """What to apply, in order: entries, and first the snapshot if it replaces entries that were not applied."""
        limit, base_index = min(self._apply_limit, self.log.durable_index), self.log.base_index
        committed: list[tuple[int, Entry | Snapshot]] = []
        if self.last_applied < base_index <= limit:
            assert self.snapshot is not None and self.snapshot.index == base_index
            committed.append((base_index, self.snapshot))
            self.last_applied = base_index
        if limit > self.last_applied:
            first = self.last_applied + 1
            entries = self.log.between(first, limit)
            self.last_applied = limit
            if not isinstance(entries, list):
                return chain(committed, enumerate(entries, first))
            committed += enumerate(entries, first)
        return committed
