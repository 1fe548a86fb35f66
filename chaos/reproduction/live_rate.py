"""Measures how often a reproduction fails with real processes in real time, where no two runs are the same.

Each run executes the scenario's schedule and ends once the invariant is violated. The rate comes with its 95 % interval
(Wilson, 1927), which is also correct if none or all of the runs fail.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from math import sqrt
from pathlib import Path

from raft_chaos.chaos.faults.catalogue import KINDS, LIVE_KINDS
from raft_chaos.chaos.judgement.vacuity import INTERRUPTED
from raft_chaos.chaos.reproduction.file import Reproduction, Scenario
from raft_chaos.chaos.reproduction.reproduce import Outcome, outcome_of
from raft_chaos.chaos.run.live.run import run_live
from raft_chaos.chaos.run.settings import Settings, describe, new_run_dir
from raft_chaos.chaos.schedule.config import ScheduleConfig
from raft_chaos.chaos.schedule.data import Schedule
from raft_chaos.invariants.rundir import RunDir, RunInfo
from raft_chaos.raft.state.timing import Timing

Z_95 = 1.959964
"""The normal distribution's two-sided 95 % point."""


@dataclass(frozen=True)
class LiveRun:
    """One run. `interrupted`: the user stopped it, so it does not count and no further run follows."""

    outcome: Outcome
    run: RunDir
    wall_s: float
    interrupted: bool


def not_applicable(reproduction: Reproduction) -> str:
    """Why the reproduction cannot be run in `live`, or ""."""
    scenario = reproduction.scenario
    if scenario is None:
        return "the file has only an execution, which real time cannot play, and no schedule"
    there = LIVE_KINDS if reproduction.foreign is None else [name for name, kind in KINDS.items() if kind.in_live]
    others = [fault.action.kind() for fault in scenario.schedule.faults if fault.action.kind() not in there]
    if others:
        return f"its schedule has faults that exist only in virtual time: {', '.join(dict.fromkeys(others))}"
    return ""


def run_often(reproduction: Reproduction, mutant: str | None, repeat: int, out: Path) -> Iterator[LiveRun]:
    """Runs the scenario `repeat` times, each time with a new run directory under `out`.

    The data of another system's nodes is removed after each run: it is no evidence, and may be hundreds of megabytes.
    """
    scenario = reproduction.scenario
    assert scenario is not None
    foreign = reproduction.foreign
    if foreign is not None:
        settings = foreign.settings(scenario.timing, scenario.schedule.header)
    else:
        settings = _settings(scenario, mutant)
    for _ in range(repeat):
        run, info = run_once(scenario.schedule, settings, reproduction.expected.invariant, out)
        outcome = outcome_of(info.invariants, reproduction.expected.invariant)
        interrupted = any(INTERRUPTED in reason for reason in info.vacuous)
        for node in info.nodes if foreign is not None else ():
            shutil.rmtree(run.node(node) / "data", ignore_errors=True)
        yield LiveRun(outcome, run, float(info.stats.get("wall_s", 0.0)), interrupted)
        if interrupted:
            return


def run_once(schedule: Schedule, settings: Settings, invariant: str, out: Path) -> tuple[RunDir, RunInfo]:
    """One run of the schedule in a new directory under `out`. It ends once the invariant is violated.

    Raises SetupError, HarnessError.
    """
    run = new_run_dir(out, schedule.header.seed)
    info = describe(settings, schedule.header.seed, schedule, run)
    info.started_at = datetime.now(UTC).isoformat(timespec="seconds")
    return run, run_live(schedule, settings.target(), run, info, until=invariant)


def _settings(scenario: Scenario, mutant: str | None) -> Settings:
    """The settings with which `raft-chaos run` would run the schedule that is saved with the run."""
    timing, header = scenario.timing, scenario.schedule.header
    options = ["--election-timeout", _range_ms(timing), "--heartbeat", str(timing.heartbeat_us // 1000)]
    if mutant is not None:
        options += ["--mutant", mutant]
    config = ScheduleConfig(nodes=max(3, len(header.nodes)), clients=len(header.clients))
    return Settings(
        world="live", schedule=config, timing=timing, mutant=mutant, schedule_file="schedule.jsonl", options=options
    )


def _range_ms(timing: Timing) -> str:
    return f"{timing.election_timeout_min_us // 1000}-{timing.election_timeout_max_us // 1000}"


def interval(successes: int, runs: int) -> tuple[float, float]:
    """The 95 % interval (Wilson, 1927) of a rate, from `successes` of `runs`, which must be 1 or more."""
    share, z2 = successes / runs, Z_95 * Z_95
    middle = (share + z2 / (2 * runs)) / (1 + z2 / runs)
    half = Z_95 / (1 + z2 / runs) * sqrt(share * (1 - share) / runs + z2 / (4 * runs * runs))
    return max(0.0, middle - half), min(1.0, middle + half)
