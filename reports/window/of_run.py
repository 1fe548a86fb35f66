"""The window of a saved run's violation of linearizability."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from raft_chaos.invariants.linearizability.readers.history_file import HistoryError
from raft_chaos.invariants.linearizability.readers.jsonl import history_of
from raft_chaos.invariants.rundir import RunDir
from raft_chaos.invariants.verdict import Verdict
from raft_chaos.reports.window.content import Window, window
from raft_chaos.reports.window.overlay import spans_of

INVARIANT = "linearizability"


def window_of_run(run: RunDir, verdicts: Sequence[Verdict]) -> Window | None:
    """The window around the operations that the run's verdict names; None if its history has none of them.

    Raises RunDirError if the run cannot be read.
    """
    found = next((v.violations[0] for v in verdicts if v.invariant == INVARIANT and v.violations), None)
    if found is None:
        return None
    names = {_name(op) for op in found.witness if isinstance(op, dict) and op.get("type") == "invoke"}
    try:
        history = history_of(str(run.history), enumerate(run.operations(), 1))
    except HistoryError:
        return None
    core = [o.number for o in history.operations if (o.label, repr(o.process)) in names]
    if not core or len(core) < len(names):
        return None  # the files were edited or torn
    key = history.operations[core[0]].key
    return window(history, core, key, found.message.removeprefix(f"{key}: "), spans_of(run))


def _name(op: dict[str, Any]) -> tuple[str, str]:
    return str(op.get("op")), repr(op.get("process"))
