"""The operations of a saved run that contradict each other, and the window around them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from raft_chaos.invariants.history import QUEUE_FUNCTIONS, Op
from raft_chaos.invariants.linearizability.readers.history_file import HistoryError, ReadHistory
from raft_chaos.invariants.linearizability.readers.jsonl import history_of
from raft_chaos.invariants.rundir import RunDir
from raft_chaos.invariants.verdict import Verdict, Violation
from raft_chaos.reports.window.content import Window, window
from raft_chaos.reports.window.overlay import spans_of

INVARIANT = "linearizability"


def read_history(run: RunDir, ops: Sequence[Op]) -> ReadHistory:
    """The operations on keys; none if the history is empty or damaged, or has queues instead of keys."""
    try:
        return history_of(str(run.history), enumerate([op for op in ops if op.f not in QUEUE_FUNCTIONS], 1))
    except HistoryError:
        return ReadHistory([], [])


def core_of_run(history: ReadHistory, verdicts: Sequence[Verdict]) -> list[int]:
    """The numbers of the operations that the verdict names; empty if there are none, or not in this history."""
    found = _found(verdicts)
    if found is None:
        return []
    names = {_name(op) for op in found.witness if isinstance(op, dict) and op.get("type") == "invoke"}
    core = [o.number for o in history.operations if (o.label, repr(o.process)) in names]
    return core if len(core) >= len(names) else []  # fewer: the files were edited or torn


def window_of_run(run: RunDir, history: ReadHistory, core: list[int], verdicts: Sequence[Verdict]) -> Window | None:
    """The window around the operations of the core; None if there is no core.

    Raises RunDirError if the run cannot be read.
    """
    found = _found(verdicts)
    if found is None or not core:
        return None
    key = history.operations[core[0]].key
    return window(history, core, key, found.message.removeprefix(f"{key}: "), spans_of(run))


def _found(verdicts: Sequence[Verdict]) -> Violation | None:
    return next((v.violations[0] for v in verdicts if v.invariant == INVARIANT and v.violations), None)


def _name(op: dict[str, Any]) -> tuple[str, str]:
    return str(op.get("op")), repr(op.get("process"))
