"""What one check of a target says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from raft_chaos.invariants.history import Op

Outcome: TypeAlias = Literal["ok", "missing", "wrong", "skipped"]


@dataclass(frozen=True)
class Finding:
    """`what` was checked, how that ended, and what was seen. `advice` says what to do about what is wrong, and `answer`
    is the answer that it was seen in, as it came.

    "missing": the target does not declare it, so no run asks for it and nothing is concluded from it. "skipped": it
    rests on something that is wrong, so it would be wrong too, and not by a mistake of its own.
    """

    what: str
    outcome: Outcome
    seen: str = ""
    advice: str = ""
    answer: str = ""


def ended(op: Op) -> str:
    """How an operation ended, in words."""
    meaning = {"ok": "ok", "fail": "fail (certainly no effect)", "info": "info (outcome unknown)"}
    return meaning.get(op.type, op.type) + (f": {op.error}" if op.error else "")


class CannotGoOnError(Exception):
    """A check is wrong in a way that makes all later ones pointless. `finding` says how."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.seen)
        self.finding = finding
