"""What valid verdicts do not cover: no finding, so it stands below their table, and each reason only once."""

from __future__ import annotations

from collections.abc import Iterable

from raft_chaos.invariants.verdict import Verdict
from raft_chaos.reports.text import visible


def left_out(verdicts: Iterable[Verdict]) -> list[str]:
    """A line for each reason that valid verdicts give, with their names: "monotonic_reads: not judged here: ..."."""
    names: dict[str, list[str]] = {}
    for verdict in verdicts:
        if verdict.outcome == "valid" and verdict.reason:
            names.setdefault(verdict.reason, []).append(verdict.invariant)
    return [visible(f"{', '.join(invariants)}: {reason}") for reason, invariants in names.items()]
