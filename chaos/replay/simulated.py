"""Replays a run of `sim`. Such a run keeps no journals, since running its schedule again gives the same trace."""

from __future__ import annotations

import tempfile
from pathlib import Path

import msgspec

from raft_chaos.chaos.judgement.vacuity import FAILED_FAST
from raft_chaos.chaos.replay.algorithm import refuse_other_algorithm
from raft_chaos.chaos.run.settings import refuse_execution
from raft_chaos.chaos.run.sim.world import run_sim
from raft_chaos.chaos.schedule.file import load
from raft_chaos.invariants.events import RunEnded
from raft_chaos.invariants.rundir import RunDir, RunDirError, RunInfo
from raft_chaos.invariants.trace import Difference, digest, first_difference
from raft_chaos.raft.state.timing import Timing


class SimReplay(msgspec.Struct, frozen=True):
    """The number of the recorded run's events, the SHA-256 of its trace, and the first difference, if there is one."""

    events: int
    trace_sha256: str
    difference: Difference | None


def replay_sim(run: RunDir, mutant: str | None) -> SimReplay:
    """Runs the schedule again, in a temporary folder. Raises RunDirError or ScheduleError if a file cannot be used."""
    with tempfile.TemporaryDirectory(prefix="raft-chaos-replay-") as folder:
        again = RunDir(Path(folder) / "run")
        run_again(run, mutant, again)
        difference = first_difference(run.trace(), again.trace())
    sha256, events = digest(run.trace())
    return SimReplay(events, sha256, difference)


def run_again(run: RunDir, mutant: str | None, again: RunDir) -> None:
    """Runs the schedule of `run` in `sim`, and records that in `again`. Raises RunDirError, ScheduleError."""
    info = run.load_info()
    refuse_other_algorithm(run, info)
    begun = RunInfo(seed=info.seed, world="sim")
    run_sim(
        load(run.schedule),
        _timing(run, info),
        mutant,
        again,
        begun,
        fail_fast=failed_fast(run),
        max_events=info.config.get("max_events"),
    )


def failed_fast(run: RunDir) -> bool:
    """Whether the run ended early because of `--fail-fast`."""
    ends = [event.reason for event in run.harness_events() if isinstance(event, RunEnded)]
    return any(reason.startswith(FAILED_FAST) for reason in ends)


def _timing(run: RunDir, info: RunInfo) -> Timing:
    refuse_execution(run, info)
    try:
        return msgspec.convert(info.config.get("timing"), Timing)
    except msgspec.ValidationError as error:
        raise RunDirError(f"{run.run_json}: config.timing: {error}") from None
