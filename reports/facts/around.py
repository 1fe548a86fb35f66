"""What happened around a violation, as clients, the harness and the nodes' own logs saw it: for a system whose nodes
report no events.

    around(...)     the operations of the violation's key before and after, the faults in force, the leaders that were
                    observed, and the last log lines of the nodes concerned
    around_lines    the same as text
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from raft_chaos.invariants.events import AnyEvent, LeaderObserved
from raft_chaos.invariants.history import Op
from raft_chaos.invariants.rundir import RunDir, RunInfo
from raft_chaos.invariants.verdict import Verdict, Violation
from raft_chaos.reports.event_lines import event_line
from raft_chaos.reports.facts.faults import FaultRow, fault_rows
from raft_chaos.reports.facts.log_lines import LogLines, log_lines
from raft_chaos.reports.text import seconds, visible

BEFORE, AFTER = 6, 3
"""How many lines of clients are shown before and after the witness."""
MOST_BETWEEN = 30
MOST_NODES = 3
"""The number of nodes whose logs are shown."""


class Around(msgspec.Struct, frozen=True, kw_only=True):
    """The time of the violation's witness (µs since the run began) and what was around it.

    `before`, `between` and `after` are lines of the history on `keys`, in order; `unshown` counts those left out
    between. `faults` were in force then; if none was, `last_fault` is the last one that had been healed. `leaders` is
    the last one that was observed before, and those between.
    """

    invariant: str
    message: str
    from_us: int
    until_us: int
    keys: list[str]
    before: list[Op]
    between: list[Op]
    after: list[Op]
    unshown: int
    faults: list[FaultRow]
    last_fault: FaultRow | None
    leaders: list[LeaderObserved]
    logs: list[LogLines]


def first_violation(verdicts: Sequence[Verdict]) -> Violation | None:
    """The one whose witness was complete first."""
    firsts = [verdict.violations[0] for verdict in verdicts if verdict.violations]
    return min(firsts, key=lambda one: max(_times(one), default=0), default=None)


def around_in(run: RunDir, violation: Violation) -> Around | None:
    """That of a violation in a saved run; None if its nodes report events, which tell more. Raises RunDirError."""
    info = run.load_info()
    if info.reports_events:
        return None
    harness, schedule = run.harness_events(), run.schedule_lines()
    return around(run, info, violation, harness, schedule, run.operations(), fault_rows(harness, schedule))


def around(
    run: RunDir,
    info: RunInfo,
    violation: Violation,
    harness: Sequence[AnyEvent],
    schedule: Sequence[dict[str, Any]],
    history: Sequence[Op],
    faults: Sequence[FaultRow],
) -> Around:
    times, ops = _times(violation), _ops(violation)
    from_us, until_us = min(times, default=0), max(times, default=0)
    keys = list(dict.fromkeys(op.key for op in ops))
    of_keys = [op for op in history if op.key in keys]
    between = [op for op in of_keys if from_us <= op.t_us <= until_us]
    unshown = max(0, len(between) - MOST_BETWEEN)
    in_force = [
        fault
        for fault in faults
        if fault.injected_us is not None
        and fault.injected_us <= until_us
        and (fault.healed_us is None or fault.healed_us >= from_us)
    ]
    seen = [event for event in harness if isinstance(event, LeaderObserved) and event.t_us <= until_us]
    first = max((place for place, event in enumerate(seen) if event.t_us < from_us), default=0)
    asked = {str(line.get("id")): str(line["node"]) for line in schedule if line.get("node")}
    nodes = [asked[op.op] for op in ops if op.op in asked]
    nodes += [event.subject for event in reversed(seen[first:])]
    nodes += [node for fault in in_force for node in fault.targets]
    # The witness of a node that ended by itself has its last words already.
    quoted = {_field(item, "subject") for item in violation.witness if _field(item, "log_tail")}
    return Around(
        invariant=violation.invariant,
        message=violation.message,
        from_us=from_us,
        until_us=until_us,
        keys=keys,
        before=[op for op in of_keys if op.t_us < from_us][-BEFORE:],
        between=[*between[: MOST_BETWEEN // 2], *between[-(MOST_BETWEEN // 2) :]] if unshown else between,
        after=[op for op in of_keys if op.t_us > until_us][:AFTER],
        unshown=unshown,
        faults=in_force,
        last_fault=_last_healed(faults, from_us) if not in_force else None,
        leaders=seen[first:],
        logs=_logs(run, info, [node for node in dict.fromkeys(nodes) if node not in quoted], until_us),
    )


def _last_healed(faults: Sequence[FaultRow], before_us: int) -> FaultRow | None:
    healed = [
        (fault.healed_us, fault) for fault in faults if fault.healed_us is not None and fault.healed_us < before_us
    ]
    return max(healed, key=lambda one: one[0])[1] if healed else None


def _logs(run: RunDir, info: RunInfo, nodes: Sequence[str], at_us: int) -> list[LogLines]:
    try:
        began = datetime.fromisoformat(info.started_at)
    except ValueError:
        return []
    at = (began if began.tzinfo else began.replace(tzinfo=UTC)) + timedelta(microseconds=at_us)
    found = (log_lines(node, run.node(node) / "stderr.log", at) for node in nodes if node in info.nodes)
    return [lines for lines in found if lines is not None][:MOST_NODES]


# ---- the witness, which is plain data if it was read from a file --------------------------------------------------


def _times(violation: Violation) -> list[int]:
    return [t_us for item in violation.witness if isinstance(t_us := _field(item, "t_us"), int)]


def _ops(violation: Violation) -> list[Op]:
    items = [item for item in violation.witness if _field(item, "op") is not None]
    return [item if isinstance(item, Op) else msgspec.convert(item, Op) for item in items]


def _field(item: Any, name: str) -> Any:
    return item.get(name) if isinstance(item, dict) else getattr(item, name, None)


# ---- as text -----------------------------------------------------------------------------------------------------


def around_lines(one: Around, width: int, *, between: bool = True) -> list[str]:
    """Lines for a terminal; those of clients and logs never wrap. Without `between` another listing has these."""
    lines = []
    operations = [*one.before, *(one.between if between else []), *one.after]
    if operations:
        keys = visible(", ".join(one.keys))
        left_out = f" ({one.unshown} lines in the middle are left out)" if one.unshown and between else ""
        lines += [f"What clients saw of {keys} {'around it' if between else 'before and after'}{left_out}:"]
        lines += map(event_line, operations)
    none = "" if one.faults else " none; the last one before:" if one.last_fault is not None else " none"
    lines += [f"Faults in force:{none}"]
    shown = one.faults or ([one.last_fault] if one.last_fault is not None else [])
    lines += [row for fault in shown for row in _fault(fault, width)]
    if one.leaders:
        lines += ["Leaders that were observed, from the last one before it on:", *map(event_line, one.leaders)]
    for log in one.logs:
        lines += [f"{log.node}, {log.file}, {_when(log)}:", *(f"  | {line}" for line in log.lines)]
    return lines


def _when(log: LogLines) -> str:
    if not log.timed:
        return "its last lines (they carry no time)"
    return "nothing near that moment; before it" if log.earlier else "around that moment"


def _fault(fault: FaultRow, width: int) -> Iterator[str]:
    healed = f"healed {seconds(fault.healed_us)} s" if fault.healed_us is not None else "never healed"
    targets = " ".join(f"{node}*" if node == fault.leader else node for node in fault.targets)
    text = f"{fault.id} {fault.named} {targets}, from {seconds(fault.injected_us)} s, {healed}: {fault.seen}"
    yield from textwrap.wrap(visible(text), max(width, 40), initial_indent="  ", subsequent_indent="      ")
