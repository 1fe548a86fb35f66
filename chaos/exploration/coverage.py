"""Coverage of a run in `sim`: which abstract states its cluster was in, and when it was in each for the first time.

The abstract state of a cluster is what Raft's rules look at, without names, times and numbers. A node's part of it:

    down, follower, candidate or leader
    its term: the highest of all nodes, or an earlier one; and whether it has voted in it
    its log, compared with the most up-to-date one of the cluster (§5.4.1): equal, a prefix, or in conflict with it
    whether its log holds the last entry that some node knows to be committed
    whether a crash would lose entries of its log

The state is the set of these parts. So it is the same if nodes exchange their parts, and about the same for clusters of
any size. A node that is down counts with what is on its disk.

A state counts when a node starts, votes, changes its role or term, or cuts its log, or when it is the first to commit
in a term. Entries that are replicated meanwhile change the state all the time, but matter only then; to look at each of
them would take a third of a run's time.

A driver around the run's own one looks at the node after each step, so a run without it costs nothing. A step's report
is passed on as it is: coverage changes no trace.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import Any

from raft_chaos.chaos.faults.damage import Damage
from raft_chaos.chaos.faults.process import Failpoint
from raft_chaos.chaos.run.nodes.driver import DrivenNode, DriverError
from raft_chaos.chaos.run.nodes.memory_driver import MemoryDriver
from raft_chaos.chaos.run.nodes.step import StepConfig, StepReport
from raft_chaos.chaos.run.nodes.stepped_node import SteppedNode
from raft_chaos.raft.core import Core
from raft_chaos.raft.replica.command import Read
from raft_chaos.raft.state.log import Log
from raft_chaos.raft.storage.failing import Failing

ROLES = {"down": 0, "follower": 1, "candidate": 2, "leader": 3}


class Coverage:
    """The states of one run: `first_us` has the time at which the cluster was first in each, by the state's digest, in
    this order."""

    def __init__(self) -> None:
        self.first_us: dict[int, int] = {}
        self._nodes: dict[str, _Seen] = {}
        self._known: set[tuple[int, ...]] = set()  # used only for membership tests
        self._committed_in = 0  # the latest term in which somebody was seen to commit

    def node(self, name: str) -> _Seen:
        """What is known of this node, over all its incarnations."""
        seen = self._nodes.get(name)
        if seen is None:
            seen = self._nodes[name] = _Seen()
        return seen

    def took(self, seen: _Seen, core: Core, now_us: int) -> None:
        """The node, which has this core, has taken a step."""
        last_index, commit_index = core.log.last_index, core.commit_index
        counts = (
            core.current_term != seen.term
            or core.role != seen.role
            or core.voted_for != seen.voted_for
            or last_index < seen.last_index
            or (commit_index > seen.commit_index and core.current_term > self._committed_in)
        )
        if commit_index > seen.commit_index and core.current_term > self._committed_in:
            self._committed_in = core.current_term
        seen.last_index, seen.commit_index = last_index, commit_index
        if counts:
            seen.role, seen.term, seen.voted_for = core.role, core.current_term, core.voted_for
            self._count(now_us)

    def _count(self, now_us: int) -> None:
        """Counts the present state."""
        state = self.state()
        if state not in self._known:
            self._known.add(state)
            self.first_us[digest(state)] = now_us

    def state(self) -> tuple[int, ...]:
        """The abstract state now: a number for each part that some node has, in ascending order."""
        nodes = self._nodes.values()
        best = max(nodes, key=lambda node: (node.log.term_at(node.last_index), node.last_index))
        top = max(nodes, key=lambda node: node.commit_index)
        term = max(node.term for node in nodes)
        return tuple(sorted({_part(node, best, top, term) for node in nodes}))


class _Seen:
    """One node after its last step: its log in memory, and where it ends; of a node that is down, where it ends on its
    disk."""

    __slots__ = ("commit_index", "last_index", "log", "role", "term", "voted_for")

    def __init__(self) -> None:
        self.role = "down"
        self.voted_for: str | None = None
        self.term = self.last_index = self.commit_index = 0
        self.log = Log()

    def stopped(self) -> None:
        """All that was written counts, since a node that ends in order syncs it."""
        self.role, self.commit_index = "down", 0

    def crashed(self) -> None:
        """Only what was synced counts now."""
        self.role, self.commit_index = "down", 0
        # A snapshot that is not durable yet replaces at least what was: it is of committed entries.
        self.last_index = max(min(self.log.durable_index, self.log.last_index), self.log.base_index)


def _part(node: _Seen, best: _Seen, top: _Seen, term: int) -> int:
    """The node's part of the state as a number."""
    last = node.last_index
    conflict = not _same(node, best, min(last, best.last_index))
    compared = 2 if conflict else 1 if last < best.last_index else 0
    holds = top.commit_index <= last and _same(node, top, min(top.commit_index, top.last_index))
    loses = node.role != "down" and node.log.durable_index < last
    number = (ROLES[node.role] * 2 + (node.term < term)) * 2 + (node.voted_for is not None)
    return ((number * 3 + compared) * 2 + holds) * 2 + loses


def _same(one: _Seen, other: _Seen, index: int) -> bool:
    """Whether both logs have the same entries up to this index, beyond which neither ends. What a snapshot replaces is
    committed, so there are no two of that."""
    return (
        one is other
        or index < max(one.log.base_index, other.log.base_index)
        or one.log.digest(index) == other.log.digest(index)
    )


def digest(state: tuple[int, ...]) -> int:
    """The state as a number of 64 bits, the same on every machine. Each of its numbers is less than 256."""
    return int.from_bytes(blake2b(bytes(state), digest_size=8).digest(), "big")


class CoverageDriver:
    """A driver in this process that keeps the coverage of its run."""

    def __init__(self, driver: MemoryDriver, coverage: Coverage) -> None:
        self._driver = driver
        self._coverage = coverage

    def start(self, config: StepConfig, now_us: int) -> DrivenNode:
        return _CoveredNode(self._driver.start(config, now_us), self._coverage, now_us)

    def damage(self, node: str, damage: Damage) -> str:
        return self._driver.damage(node, damage)


class _CoveredNode:
    """One incarnation."""

    __slots__ = ("_core", "_coverage", "_node", "_seen", "first")

    def __init__(self, node: SteppedNode, coverage: Coverage, now_us: int) -> None:
        self._node = node
        self._coverage = coverage
        self._core = node.replica.core
        self._seen = coverage.node(node.name)
        self._seen.log = self._core.log
        self.first = self._took(node.first, now_us)

    def receive(
        self, sender: str, sender_inc: int, number: int, message: Any, now_us: int, failpoint: Failpoint | None
    ) -> StepReport:
        return self._step(self._node.receive, now_us, failpoint, sender, sender_inc, number, message)

    def receive_corrupted(
        self,
        sender: str,
        sender_inc: int,
        number: int,
        message: Any,
        flips: Sequence[float],
        now_us: int,
        failpoint: Failpoint | None,
    ) -> StepReport | None:
        try:
            report = self._node.receive_corrupted(sender, sender_inc, number, message, flips, now_us, failpoint)
        except Exception:
            self._seen.crashed()  # as in `_step`
            raise
        return None if report is None else self._took(report, now_us)

    def tick(self, now_us: int, failpoint: Failpoint | None) -> StepReport:
        return self._step(self._node.tick, now_us, failpoint)

    def persisted(self, lsn: int, now_us: int, failpoint: Failpoint | None) -> StepReport:
        return self._step(self._node.persisted, now_us, failpoint, lsn)

    def submit(self, token: Any, command: bytes, now_us: int, failpoint: Failpoint | None) -> StepReport:
        return self._step(self._node.submit, now_us, failpoint, token, command)

    def read(self, token: Any, read: Read, now_us: int, failpoint: Failpoint | None) -> StepReport:
        return self._step(self._node.read, now_us, failpoint, token, read)

    def transfer(self, target: str | None, now_us: int, failpoint: Failpoint | None) -> StepReport:
        return self._step(self._node.transfer, now_us, failpoint, target)

    def change_clock(self, now_us: int, rate_ppm: int, jump_us: int) -> int:
        return self._node.change_clock(now_us, rate_ppm, jump_us)

    def break_disk(self, failing: Failing | None) -> int:
        return self._node.break_disk(failing)

    def crash(self, keep_permille: int, keep_bytes: int | None = None, holes: int = 0) -> tuple[int, int]:
        ended = self._node.crash(keep_permille, keep_bytes, holes)
        self._seen.crashed()
        return ended

    def stop(self) -> None:
        try:
            self._node.stop()
        except Exception:
            self._seen.crashed()  # its disk failed
            raise
        self._seen.stopped()

    def _step(
        self, step: Callable[..., StepReport], now_us: int, failpoint: Failpoint | None, *given: Any
    ) -> StepReport:
        try:
            report = step(*given, now_us, failpoint)
        except Exception:
            self._seen.crashed()  # it dies of this error, in the middle of the step
            raise
        return self._took(report, now_us)

    def _took(self, report: StepReport, now_us: int) -> StepReport:
        try:
            self._coverage.took(self._seen, self._core, now_us)
        except Exception as error:  # a mistake of ours, of which no node may be accused
            raise DriverError(f"coverage failed: {type(error).__name__}: {error}") from error
        return report
