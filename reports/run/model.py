"""`RunReport`: the content of one run's report as plain data, read only from the run directory.

The verdicts come from run.json. Everything else is counted from the events, so the report of an interrupted run, whose
run.json has no statistics, is as complete as that of a finished one.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from raft_chaos.invariants.events import AnyEvent, LeaderObserved, RoleChanged
from raft_chaos.invariants.exposure import Exposure, exposure
from raft_chaos.invariants.history import Op
from raft_chaos.invariants.rundir import RunDir, RunInfo
from raft_chaos.invariants.seal import changed
from raft_chaos.invariants.verdict import Outcome, Verdict, broken
from raft_chaos.reports.facts.around import Around, around, first_violation
from raft_chaos.reports.facts.drawn import drawn_lines
from raft_chaos.reports.facts.elections import ElectionRow, election_rows
from raft_chaos.reports.facts.faults import FaultRow, fault_rows
from raft_chaos.reports.facts.histories import Histories, histories
from raft_chaos.reports.facts.nodes import NodeRow, node_rows
from raft_chaos.reports.facts.operations import ALL, OperationRow, operation_rows
from raft_chaos.reports.facts.plan import PlannedFault, planned_faults
from raft_chaos.reports.facts.timeline import Timeline, timeline
from raft_chaos.reports.facts.violations import ViolationRow, violation_rows
from raft_chaos.reports.spacetime.diagram import Diagram
from raft_chaos.reports.spacetime.of_run import diagram_in
from raft_chaos.reports.text import US_PER_S
from raft_chaos.reports.window.content import Window
from raft_chaos.reports.window.of_run import core_of_run, read_history, window_of_run

Stats = dict[str, float | int | str]

MOST_EVENTS_DRAWN = 300_000
"""A longer run gets no space-time diagram in its report: to put its events in order takes many seconds. `raft-chaos
explain --html` draws it."""

_WORST_FIRST: dict[Outcome, int] = {"violated": 0, "unknown": 1, "valid": 2}


class RunReport(msgspec.Struct, frozen=True, kw_only=True):
    """One run. `verdict` is never None: a run that was not judged to its end is unknown, unless already violated.

    `invariants` has the violated ones first, then the unknown ones. `duration_us` is the time of the last event.
    `sealed` says whether run.json lists the files as they were at the end. If they have changed, nothing is read from
    them: the run is unknown, and `info.vacuous` names them.
    `stats` holds the numbers of run.json, and the counts of `_stats` that run.json does not have. `window` shows the
    violation of linearizability, if there is one; `diagram` what led to the first violation; `around` what was around
    the first violation, of a system whose nodes report no events.
    """

    path: Path
    info: RunInfo
    verdict: Outcome
    interrupted: bool
    sealed: bool
    duration_us: int
    stats: Stats
    invariants: list[Verdict]
    violations: list[ViolationRow]
    faults: list[FaultRow]
    nodes: list[NodeRow]
    elections: list[ElectionRow]
    operations: list[OperationRow]
    timeline: Timeline
    drawn: list[str]
    plan: list[PlannedFault]
    histories: Histories
    window: Window | None = None
    diagram: Diagram | None = None
    exposure: list[Exposure] = []
    around: Around | None = None


def worst_first(outcome: Outcome) -> int:
    """A sort key: violated, unknown, valid."""
    return _WORST_FIRST[outcome]


def build(run: RunDir) -> RunReport:
    """Reads a run. The tables of missing or empty files are empty; a damaged file raises `RunDirError`, except in a
    sealed run."""
    info = run.load_info()
    if damage := changed(run, info):
        info = msgspec.structs.replace(info, verdict="unknown", invariants=[], vacuous=damage, stats={})
        return _report(run, info, [], [], [], [])
    return _report(run, info, run.node_streams(), run.harness_events(), run.schedule_lines(), run.operations())


def _report(
    run: RunDir,
    info: RunInfo,
    streams: list[list[AnyEvent]],
    harness: list[AnyEvent],
    schedule_lines: list[dict[str, Any]],
    history: list[Op],
) -> RunReport:
    faults = fault_rows(harness, schedule_lines)
    elections = election_rows([*streams, harness])
    operations = operation_rows(history)
    rest = [verdict for verdict in info.invariants if verdict.outcome != "violated"]
    invariants = [*broken(info.invariants), *sorted(rest, key=lambda verdict: worst_first(verdict.outcome))]
    duration_us = max((event.t_us for stream in [*streams, harness] for event in stream), default=0)
    end_us = max(duration_us, history[-1].t_us if history else 0)
    first = None if info.reports_events else first_violation(info.invariants)
    read = read_history(run, history)
    core = core_of_run(read, invariants)
    return RunReport(
        path=run.path,
        info=info,
        verdict=_verdict(info),
        interrupted=_interrupted(info),
        sealed=info.evidence is not None,
        duration_us=duration_us,
        stats={**_stats(faults, elections, operations, streams, duration_us), **info.stats},
        invariants=invariants,
        violations=violation_rows(invariants),
        faults=faults,
        nodes=node_rows(info.nodes, streams, harness),
        elections=elections,
        operations=operations,
        timeline=timeline(info.nodes, streams, harness, history, info.invariants, end_us),
        drawn=drawn_lines(schedule_lines),
        plan=planned_faults(schedule_lines),
        histories=histories(read, core),
        window=window_of_run(run, read, core, invariants),
        diagram=_diagram(run, info, sum(map(len, streams))),
        exposure=exposure(_kinds(schedule_lines), harness, _elections_us(streams, harness)),
        around=around(run, info, first, harness, schedule_lines, history, faults) if first is not None else None,
    )


def _kinds(schedule_lines: list[dict[str, Any]]) -> list[str]:
    """The kind of each planned fault."""
    actions = (line.get("action") for line in schedule_lines if line.get("kind") == "fault")
    return [str(action.get("type", "")) for action in actions if isinstance(action, dict)]


def _elections_us(streams: list[list[AnyEvent]], harness: list[AnyEvent]) -> list[int]:
    """When nodes stood for election; of nodes that do not say so, when one was seen to lead."""
    stood = (event for stream in streams for event in stream if isinstance(event, RoleChanged))
    return [event.t_us for event in stood if event.role == "candidate"] or [
        event.t_us for event in harness if isinstance(event, LeaderObserved)
    ]


def _diagram(run: RunDir, info: RunInfo, events: int) -> Diagram | None:
    if events > MOST_EVENTS_DRAWN:
        return None
    return diagram_in(run, info.invariants, reports_events=info.reports_events)


def _interrupted(info: RunInfo) -> bool:
    return info.state == "running" or info.verdict is None


def _verdict(info: RunInfo) -> Outcome:
    # A violation counts even if the analysis was cut short; "valid" does not.
    return "unknown" if info.verdict is None or (_interrupted(info) and info.verdict == "valid") else info.verdict


def _stats(
    faults: list[FaultRow],
    elections: list[ElectionRow],
    operations: list[OperationRow],
    streams: list[list[AnyEvent]],
    duration_us: int,
) -> Stats:
    """Durations in s, and the counts of clients' operations, faults and elections."""
    total = next((row for row in operations if row.function == ALL), None)
    return {
        "duration_s": duration_us / US_PER_S,
        "events": sum(len(stream) for stream in streams),
        "contested_terms": len(elections),
        "leaders_elected": sum(len(row.leaders) for row in elections),
        "ops": total.invoked if total else 0,
        "ops_ok": total.ok if total else 0,
        "ops_fail": total.fail if total else 0,
        "ops_info": total.info if total else 0,
        "faults": len(faults),
        "faults_fired": sum(row.injected_us is not None for row in faults),
        "faults_effective": sum(row.effective is True for row in faults),
    }
