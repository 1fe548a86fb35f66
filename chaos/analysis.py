"""The analysis of a run from its directory: verdicts, vacuity and numbers. The same at the end of a run and ever after.

Overall, violated comes before unknown before valid, and a vacuous run is unknown.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import msgspec

from chaos.schedule import Schedule, load
from chaos.vacuity import clean_operations, vacuity
from invariants.events import AnyEvent, CommitAdvanced, FaultHealed, FaultInjected, NodeLaunched, RoleChanged
from invariants.history import Op
from invariants.judge import judge_run
from invariants.rundir import RunDir, RunInfo
from invariants.verdict import Outcome, Verdict, overall


class Analysis(msgspec.Struct, frozen=True):
    """What can be said of a run: one verdict an invariant, what was missing, and counts."""

    verdict: Outcome
    invariants: list[Verdict]
    vacuous: list[str]
    stats: dict[str, float | int | str]


def analyse(run: RunDir) -> Analysis:
    """Raises RunDirError or ScheduleError for a directory that cannot be read."""
    info = run.load_info()
    schedule = load(run.schedule)
    verdicts = judge_run(run)
    harness, history = run.harness_events(), run.operations()
    node_events = [event for stream in run.node_streams() for event in stream]
    missing = vacuity(schedule, harness, node_events if info.reports_events else None, history)
    stats = _stats(schedule, harness, node_events, history)
    missing += _changed(info, stats)
    outcomes: list[Outcome] = [verdict.outcome for verdict in verdicts]
    if missing:
        outcomes.append("unknown")
    return Analysis(overall(outcomes), verdicts, missing, stats)


def _changed(info: RunInfo, stats: dict[str, float | int | str]) -> list[str]:
    """Whether a finished run's files still hold what they held when it ended; if not, what is judged is another run."""
    if info.state != "finished":
        return []
    return [
        f"the files have changed since the run ended: {stats[name]} {what}, there were {info.stats[name]}"
        for name, what in (("events", "events of nodes"), ("ops", "client operations"))
        if name in info.stats and info.stats[name] != stats[name]
    ]


def _stats(
    schedule: Schedule, harness: Sequence[AnyEvent], node_events: Sequence[AnyEvent], history: Sequence[Op]
) -> dict[str, float | int | str]:
    leading = [event.term for event in node_events if isinstance(event, RoleChanged) and event.role == "leader"]
    ends = Counter(op.type for op in history)
    planned, served = clean_operations(schedule, history)
    return {
        "faults": len(schedule.faults),
        "faults_fired": sum(isinstance(event, FaultInjected) for event in harness),
        "faults_effective": sum(isinstance(event, FaultHealed) and event.effective for event in harness),
        "restarts": sum(isinstance(event, NodeLaunched) and event.subject_inc > 1 for event in harness),
        "elections": len(set(leading)),
        "max_term": max(leading, default=0),
        "committed": max((event.index for event in node_events if isinstance(event, CommitAdvanced)), default=0),
        "events": len(node_events),
        "ops": ends["invoke"],
        "ops_ok": ends["ok"],
        "ops_fail": ends["fail"],
        "ops_info": ends["info"],
        "clean_ops_planned": planned,
        "clean_ops_served": served,
    }
