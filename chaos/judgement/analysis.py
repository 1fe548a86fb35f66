"""The analysis of a run: verdicts, vacuity and numbers. `conclude` makes it from verdicts and counts.

A world that keeps its events in memory judges and counts them as they happen; `analyse` does the same from a run
directory, at the end of a run and at any later time. For the overall verdict, violated comes before unknown, and
unknown before valid. A vacuous run is unknown, and so is one whose files are damaged: if a line is missing, a correct
cluster may look wrong. The seal shows damage where a run has one; otherwise the lines themselves must fit together. A
run in which the harness itself failed is unknown too: a proxy that lost connections looks like a mistake of the nodes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TypeAlias

import msgspec

from raft_chaos.chaos.judgement.tally import Tally
from raft_chaos.chaos.judgement.vacuity import HARNESS_FAILED, clean_operations, clean_operations_required, vacuity
from raft_chaos.chaos.schedule.data import Schedule, ScheduleError
from raft_chaos.chaos.schedule.file import load
from raft_chaos.invariants.events import AnyEvent, FaultHealed, FaultInjected, LeaderObserved, NodeLaunched, RunEnded
from raft_chaos.invariants.exposure import Exposure, exposure
from raft_chaos.invariants.history import Op
from raft_chaos.invariants.judge import judge_saved
from raft_chaos.invariants.rundir import RunDir, RunDirError, RunInfo
from raft_chaos.invariants.seal import changed
from raft_chaos.invariants.trace import trace_sha256
from raft_chaos.invariants.verdict import Outcome, Verdict, overall
from raft_chaos.invariants.well_formed import contradictions

__all__ = ["Stats", "Analysis", "Tally", "conclude", "analyse"]

Stats: TypeAlias = dict[str, float | int | str]


class Analysis(msgspec.Struct, frozen=True):
    """The analysis of a run: one verdict for each invariant, what the run lacked, and counts.

    `damage` says what is wrong with the run's files, a sentence each; `vacuous` has these sentences too.
    `exposure` says what the faults met, by kind.
    """

    verdict: Outcome
    invariants: list[Verdict]
    vacuous: list[str]
    stats: Stats
    damage: Sequence[str] = ()
    exposure: Sequence[Exposure] = ()


def conclude(
    schedule: Schedule,
    verdicts: Sequence[Verdict],
    harness: Sequence[AnyEvent],
    tally: Tally | None,
    history: Sequence[Op],
    *,
    extra_stats: Mapping[str, float | int | str] | None = None,
    damage: Sequence[str] = (),
) -> Analysis:
    """The analysis of a run that was judged and counted.

    `tally` is None for a target that reports no events; its counts are then 0. `extra_stats` are numbers that only one
    world has. `damage` says in sentences what is wrong with the run's files; any damage makes it unknown.
    """
    missing = vacuity(schedule, harness, tally, history)
    stats = {**_stats(schedule, harness, tally or Tally(), history), **(extra_stats or {})}
    met = exposure((fault.action.kind() for fault in schedule.faults), harness, _elections_us(harness, tally))
    if damage:
        unsure = [undecided(verdict) for verdict in verdicts]
        return Analysis("unknown", unsure, [*damage, *missing], stats, damage, met)
    outcomes: list[Outcome] = [verdict.outcome for verdict in verdicts]
    if missing:
        outcomes.append("unknown")
    return Analysis(overall(outcomes), list(verdicts), missing, stats, exposure=met)


def undecided(verdict: Verdict) -> Verdict:
    """The same verdict, but unknown instead of violated."""
    if verdict.outcome != "violated":
        return verdict
    return Verdict(verdict.invariant, "unknown", verdict.judged, "not certain, since the run's files may be damaged")


def analyse(run: RunDir) -> Analysis:
    """Analyses a run directory. Files that changed since the run ended, or cannot be read, make it unknown.

    Raises RunDirError if the directory is no run.
    """
    info = run.load_info()
    if damage := changed(run, info):
        return Analysis("unknown", [], damage, {}, damage)
    try:
        schedule = load(run.schedule)
        harness, streams, history = run.harness_events(), run.node_streams(), run.operations()
        verdicts = judge_saved(info, run.merged(harness, streams), history)
    except (RunDirError, ScheduleError) as error:
        return Analysis("unknown", [], [str(error)], {}, [str(error)])
    tally = Tally()
    for stream in streams:
        for event in stream:
            tally.observe(event)
    failure = _harness_failure(info, harness)
    analysis = conclude(
        schedule,
        [_uncounted(verdict, failure) for verdict in verdicts] if failure else verdicts,
        harness,
        tally if info.reports_events else None,
        history,
        damage=[*contradictions(run, harness, streams, history), *_other_than_it_ended(run, info, tally, history)],
    )
    return msgspec.structs.replace(analysis, vacuous=[failure, *analysis.vacuous]) if failure else analysis


def _harness_failure(info: RunInfo, harness: Sequence[AnyEvent]) -> str:
    """Why the harness itself failed; "" if it did not. Its last event says so, unless it could not be written."""
    said = [event.reason for event in harness if isinstance(event, RunEnded)]
    said += info.vacuous if info.state == "failed" else []
    return next((why for why in said if why.startswith(HARNESS_FAILED)), "")


def _uncounted(verdict: Verdict, failure: str) -> Verdict:
    return Verdict(verdict.invariant, "unknown", verdict.judged, failure)


def _other_than_it_ended(run: RunDir, info: RunInfo, tally: Tally, history: Sequence[Op]) -> list[str]:
    """How the lines of a finished run without a seal, which an earlier version made, differ from its numbers."""
    if info.evidence is not None or info.state != "finished":
        return []
    invoked = sum(op.type == "invoke" for op in history)
    counts = (("events", "events of nodes", tally.events), ("ops", "client operations", invoked))
    differences = [
        f"{run.path}: it has {now} {what}, it had {info.stats[name]} when it ended"
        for name, what, now in counts
        if name in info.stats and info.stats[name] != now
    ]
    if differences or not info.trace_sha256:
        return differences
    try:
        sha256 = trace_sha256(run)
    except RunDirError as error:
        return [str(error)]
    if sha256 != info.trace_sha256:
        return [f"{run.path}: its trace is {sha256}, it was {info.trace_sha256} when it ended"]
    return []


def _observed_elections(harness: Sequence[AnyEvent]) -> set[tuple[str, int]]:
    """The elections that the harness saw, by leader and term, or by time where terms are unknown: a status and a line
    of a log may say the same. Used only for their number."""
    return {(event.subject, event.term or -event.t_us) for event in harness if isinstance(event, LeaderObserved)}


def _elections_us(harness: Sequence[AnyEvent], tally: Tally | None) -> list[int]:
    """When nodes stood for election; of nodes that do not say so, when one was seen to lead."""
    if tally is not None:
        return tally.elections_us
    return [event.t_us for event in harness if isinstance(event, LeaderObserved)]


def _stats(schedule: Schedule, harness: Sequence[AnyEvent], tally: Tally, history: Sequence[Op]) -> Stats:
    ends = Counter(op.type for op in history)
    planned, served = clean_operations(schedule, harness, history)
    return {
        "faults": len(schedule.faults),
        "faults_fired": sum(isinstance(event, FaultInjected) for event in harness),
        "faults_effective": sum(isinstance(event, FaultHealed) and event.effective for event in harness),
        "restarts": sum(isinstance(event, NodeLaunched) and event.subject_inc > 1 for event in harness),
        "elections": len(tally.leader_terms) or len(_observed_elections(harness)),
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
