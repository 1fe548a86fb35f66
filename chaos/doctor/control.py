"""The positive control: what the client has seen is judged valid, and with one answer changed it is convicted.

Without that, a target whose `value` always led to nothing would be found correct for ever.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from raft_chaos.chaos.doctor.finding import Finding
from raft_chaos.chaos.faults.abilities import Abilities
from raft_chaos.invariants.history import Op
from raft_chaos.invariants.judge import Judge
from raft_chaos.invariants.verdict import Verdict, overall

ALONE = (
    "it was alone, with one operation at a time: the description is wrong (look at `ok` and `value`), or the system is"
)


CONVICTED = "a wrong answer is convicted"


def control(history: Sequence[Op], can: Abilities) -> Finding:
    """Judges the history as it was, and with another value in its last read (of a queue: dequeue) that found one."""
    what = CONVICTED
    judged = _judged(history, can)
    if overall([verdict.outcome for verdict in judged]) == "violated":
        violation = next(one for verdict in judged for one in verdict.violations)
        return Finding("what one client saw", "wrong", violation.message, ALONE)
    reads = [place for place, op in enumerate(history) if op.type == "ok" and op.f in ("get", "dequeue") and op.value]
    if not reads:
        return Finding(what, "wrong", "no read found a value", "look at `value`")
    place = reads[-1]
    value = history[place].value
    other = "nobody wrote this" if isinstance(value, str) else ["nobody wrote this"]
    bent = [*history[:place], replace(history[place], value=other), *history[place + 1 :]]
    if overall([verdict.outcome for verdict in _judged(bent, can)]) != "violated":
        return Finding(what, "wrong", f"one changed answer of {len(history) // 2} was not noticed")
    return Finding(what, "ok", "one changed answer was")


def _judged(history: Sequence[Op], can: Abilities) -> list[Verdict]:
    judge = Judge(events_expected=False, can=can)
    for op in history:
        judge.observe_op(op)
    return judge.verdicts()
