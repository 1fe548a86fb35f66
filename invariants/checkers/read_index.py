"""read_index: a read without a log entry sees all that its node knew to be committed when the read came.

A leader answers such a read from its own state once it has applied all entries up to its commit index of then (Ongaro's
thesis, §6.4), and by a lease in the same way (§6.4.1). If it takes what it has applied for what is committed, the read
may miss a write that a client has the answer to. `linearizability` sees that only if somebody reads that very key.

Violated: the answer names an entry as the last one that its incarnation had applied, and the same incarnation had
reported, with a time before the client asked, that a later one is committed.

Why no correct node is convicted: the read came after the client asked, so the node's commit index was at least that
one. An incarnation's commit index never goes back, and it waits until it has applied all of that. The report of a
commit may come later, since it may wait for the disk, but has the time of the commit; so all are judged at the end.
Both times are the run's. Reads that are stale by intent (`stale_reads`) promise nothing of the kind.
"""

from __future__ import annotations

from bisect import bisect_left

from raft_chaos.invariants.checkers.base import Checker, Handlers
from raft_chaos.invariants.events import CommitAdvanced
from raft_chaos.invariants.history import Op
from raft_chaos.invariants.verdict import Verdict

TOLERANCE_US = 1_000
"""In real time the client and the node read the clock at different moments."""


class ReadIndex(Checker):
    """What a read without a log entry sees, by the commits that its node has reported."""

    invariant = "read_index"
    goes_by_time = True
    rule = "The leader waits until its state machine has advanced at least as far as the readIndex (thesis, §6.4)."
    nothing_judged = "nobody read by ReadIndex or a lease"
    only_if_judged = True

    def __init__(self) -> None:
        super().__init__()
        self._commits: dict[tuple[str, int], list[CommitAdvanced]] = {}  # by incarnation, in its order
        self._asked: dict[str, Op] = {}
        self._answered: list[tuple[Op, Op]] = []

    def handlers(self) -> Handlers:
        return {CommitAdvanced: self._on_commit}

    def _on_commit(self, event: CommitAdvanced) -> None:
        self._commits.setdefault((event.node, event.inc), []).append(event)

    def observe_op(self, op: Op) -> None:
        """One line of the clients' history about a read without a log entry."""
        if op.type == "invoke":
            self._asked[op.op] = op
        elif (asked := self._asked.pop(op.op, None)) is not None and op.type == "ok" and op.node is not None:
            self.judged += 1
            self._answered.append((asked, op))

    def verdict(self) -> Verdict:
        """Judges from the start each time: reports may have come since."""
        self.violations, self.violation_count = [], 0
        for asked, answer in self._answered:
            self._judge(asked, answer)
        return super().verdict()

    def _judge(self, asked: Op, answer: Op) -> None:
        commits = self._commits.get((answer.node or "", answer.inc or 0), ())
        before = bisect_left(commits, asked.t_us - TOLERANCE_US, key=lambda event: event.t_us)
        if not before or (answer.index or 0) >= commits[before - 1].index:
            return
        known = commits[before - 1]
        self.violate(
            f"{answer.op} read {answer.value!r} from {answer.key!r} at {answer.node} (incarnation {answer.inc}), which "
            f"had applied up to entry {answer.index or 0}, although it knew before that entry {known.index} is "
            "committed",
            known,
            asked,
            answer,
        )
