"""The analysis of a run: verdicts, vacuity and numbers. `conclude` makes it from verdicts and counts.

A world that keeps its events in memory judges and counts them as they happen; `analyse` does the same from a run
directory, at the end of a run and at any later time. For the overall verdict, violated comes before unknown, and
unknown before valid. A vacuous run is unknown.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TypeAlias

import msgspec

from raft_chaos.chaos.judgement.tally import Tally
from raft_chaos.chaos.judgement.vacuity import clean_operations, clean_operations_required, vacuity
from raft_chaos.chaos.schedule.data import Schedule
from raft_chaos.chaos.schedule.file import load
from raft_chaos.invariants.events import AnyEvent, FaultHealed, FaultInjected, NodeLaunched
from raft_chaos.invariants.history import Op
from raft_chaos.invariants.judge import judge_saved
from raft_chaos.invariants.rundir import RunDir, RunInfo
from raft_chaos.invariants.trace import trace_sha256
from raft_chaos.invariants.verdict import Outcome, Verdict, overall

__all__ = ["CHANGED", "Stats", "Analysis", "Tally", "conclude", "analyse"]

CHANGED = "the files have changed since the run ended"

Stats: TypeAlias = dict[str, float | int | str]


class Analysis(msgspec.Struct, frozen=True):
    """The analysis of a run: one verdict for each invariant, what the run lacked, and counts."""

    verdict: Outcome
    invariants: list[Verdict]
    vacuous: list[str]
    stats: Stats


def conclude(
    schedule: Schedule,
    verdicts: Sequence[Verdict],
    harness: Sequence[AnyEvent],
    tally: Tally | None,
    history: Sequence[Op],
    *,
    extra_stats: Mapping[str, float | int | str] | None = None,
    also_missing: Sequence[str] = (),
) -> Analysis:
    """The analysis of a run that was judged and counted.

    `tally` is None for a target that reports no events; its counts are then 0. `extra_stats` are numbers that only one
    world has. `also_missing` says in sentences how the files changed since the run; any change makes it unknown.
    """
    missing = [*vacuity(schedule, harness, tally, history), *also_missing]
    outcomes: list[Outcome] = [verdict.outcome for verdict in verdicts]
    if missing:
        outcomes.append("unknown")
    if also_missing:
        outcomes = ["unknown"]  # if a line is missing, a correct cluster may look wrong
    stats = {**_stats(schedule, harness, tally or Tally(), history), **(extra_stats or {})}
    return Analysis(overall(outcomes), list(verdicts), missing, stats)


def analyse(run: RunDir) -> Analysis:
    """Analyses a run directory. Raises RunDirError or ScheduleError if it cannot be read."""
    info = run.load_info()
    schedule = load(run.schedule)
    harness, streams, history = run.harness_events(), run.node_streams(), run.operations()
    tally = Tally()
    for stream in streams:
        for event in stream:
            tally.observe(event)
    return conclude(
        schedule,
        judge_saved(info.reports_events, run.merged(harness, streams), history),
        harness,
        tally if info.reports_events else None,
        history,
        also_missing=_changed(run, info, tally, history),
    )


def _changed(run: RunDir, info: RunInfo, tally: Tally, history: Sequence[Op]) -> list[str]:
    """How a finished run's files differ from those at its end, in sentences; if they do, they describe another run."""
    if info.state != "finished":
        return []
    invoked = sum(op.type == "invoke" for op in history)
    changed = [
        f"{CHANGED}: {there} {what}, there were {info.stats[name]}"
        for name, what, there in (("events", "events of nodes", tally.events), ("ops", "client operations", invoked))
        if name in info.stats and info.stats[name] != there
    ]
    if not changed and info.trace_sha256 and info.trace_sha256 != (now := trace_sha256(run)):
        changed.append(f"{CHANGED}: their trace is {now}, it was {info.trace_sha256}")
    return changed


def _stats(schedule: Schedule, harness: Sequence[AnyEvent], tally: Tally, history: Sequence[Op]) -> Stats:
    ends = Counter(op.type for op in history)
    planned, served = clean_operations(schedule, harness, history)
    return {
        "faults": len(schedule.faults),
        "faults_fired": sum(isinstance(event, FaultInjected) for event in harness),
        "faults_effective": sum(isinstance(event, FaultHealed) and event.effective for event in harness),
        "restarts": sum(isinstance(event, NodeLaunched) and event.subject_inc > 1 for event in harness),
        "elections": len(tally.leader_terms),
        "max_term": max(tally.leader_terms, default=0),
        "committed": tally.highest_commit,
        "truncations": tally.truncations,
        "messages_sent": tally.messages_sent,
        "messages_received": tally.messages_received,
        "events": tally.events,
        "ops": ends["invoke"],
        "ops_ok": ends["ok"],
        "ops_fail": ends["fail"],
        "ops_info": ends["info"],
        "clean_ops_planned": planned,
        "clean_ops_required": clean_operations_required(planned),
        "clean_ops_served": served,
    }
