"""One side of the self-check: runs one seed in one world, in a worker process. Any error becomes an answer."""

from __future__ import annotations

from pathlib import Path

import msgspec

from raft_chaos.chaos.judgement.analysis import Stats
from raft_chaos.chaos.mutants import parts_of
from raft_chaos.chaos.processes.compiled import why_pure
from raft_chaos.chaos.run.lockstep.gate import DivergenceError
from raft_chaos.chaos.run.nodes.memory_driver import MemoryDriver
from raft_chaos.chaos.run.settings import Settings, describe
from raft_chaos.chaos.run.sim.run import VirtualRun
from raft_chaos.chaos.run.sim.world import run_sim
from raft_chaos.invariants.rundir import RunDir


class Answer(msgspec.Struct, frozen=True):
    """The outcome of a seed. `run` is its run directory, if it was recorded.

    Without a digest it has a reason: the worlds diverged during the run, or the harness failed.
    """

    side: str
    trace_sha256: str = ""
    stats: Stats = {}
    diverged: str = ""
    failed: str = ""
    run: str | None = None


def run_side(
    side: str, settings: Settings, seed: int, run: Path | None, temp: Path, must_be_compiled: bool = False
) -> Answer:
    """Runs the seed in the world of `settings`, recorded in the new directory `run` if there is one.

    Real processes always need such a directory. If this process is killed meanwhile, `temp` is removed once all
    processes that it has started are gone.
    """
    recorded = str(run) if run is not None else None
    if must_be_compiled and (why := why_pure()):
        return Answer(side, failed=f"this process uses the sources: {why}")
    try:
        trace_sha256, stats = _go(settings, seed, run, temp)
    except DivergenceError as error:
        return Answer(side, diverged=str(error), run=recorded)
    except Exception as error:
        return Answer(side, failed=f"{type(error).__name__}: {error}", run=recorded)
    return Answer(side, trace_sha256, stats, run=recorded)


def _go(settings: Settings, seed: int, run: Path | None, temp: Path) -> tuple[str, Stats]:
    """The digest and the numbers of the run."""
    schedule = settings.make_schedule(seed)
    if run is None:
        driver = MemoryDriver(parts_of(settings.mutant))
        unrecorded = VirtualRun(schedule, timing=settings.timing, driver=driver).go()
        return unrecorded.trace_sha256, unrecorded.analysis.stats
    directory = RunDir(run)
    info = describe(settings, seed, schedule, directory)
    if settings.world == "lockstep":
        from raft_chaos.chaos.processes.supervisor import Supervisor
        from raft_chaos.chaos.run.lockstep.driver import PRELOADED
        from raft_chaos.chaos.run.lockstep.run import run_lockstep

        with Supervisor(PRELOADED) as supervisor:
            supervisor.remove_when_orphaned(temp)
        auth = settings.peer_auth
        info = run_lockstep(schedule, settings.timing, settings.mutant, directory, info, peer_auth=auth)
    else:
        info = run_sim(schedule, settings.timing, settings.mutant, directory, info)
    return info.trace_sha256, info.stats
