"""One campaign after one mutant: seed after seed, until a run is violated or the budget is spent.

In sim a run goes on after its first violation, so that all invariants which convict the mutant in it are seen.

A hunt may leave out a part of every schedule: a kind of fault, or an episode (`chaos.schedule.left_out`). Such a hunt
tries the seed that convicted with the part first. If it still convicts, then the hunt over all seeds takes no more of
them than the one with the part, and is over after one run. Otherwise it begins with the first seed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

from raft_chaos.chaos.faults.catalogue import LIVE_KINDS, VIRTUAL_KINDS
from raft_chaos.chaos.matrix.cells import Cell, Hunt, Job
from raft_chaos.chaos.mutants import parts_of
from raft_chaos.chaos.run.nodes.memory_driver import MemoryDriver
from raft_chaos.chaos.run.settings import Settings, describe, new_run_dir
from raft_chaos.chaos.run.sim.run import VirtualRun
from raft_chaos.chaos.run.worlds import run_in_world
from raft_chaos.chaos.schedule.config import ScheduleConfig
from raft_chaos.chaos.schedule.generate import episodes_of
from raft_chaos.chaos.schedule.left_out import left_out, parts_in
from raft_chaos.invariants.verdict import Verdict
from raft_chaos.raft.state.timing import Timing

TIMING = Timing(150_000, 300_000, 50_000)
RATE = 30.0
"""Operations a second: enough to see lost writes, few enough for short runs."""


def hunt(job: Job, budget_s: float, stopped: Callable[[], bool] = lambda: False) -> Hunt | None:
    """Runs seeds until one is violated, `job.most` have been run, or `budget_s` is spent (CPU time in sim).

    None if it was stopped before.
    """
    settings = settings_of(job.cell)
    clock: Callable[[], float] = time.process_time if job.cell.world == "sim" else time.monotonic
    began = clock()
    for runs, seed in enumerate(_seeds(job), 1):
        violated, parts = _violated(settings, seed, job.cell.without)
        spent_s = clock() - began
        if stopped():
            return None
        if violated or spent_s >= budget_s or runs == job.most:
            break
    return Hunt(
        cell=job.cell,
        start=job.start,
        seeds=seed - job.start + 1 if violated else runs,
        spent_s=round(spent_s, 3),
        seed=seed if violated else None,
        violated=violated,
        parts=parts if violated else [],
    )


def settings_of(cell: Cell) -> Settings:
    """The swarm in virtual time, the moderate range in real time, at the usual timeouts."""
    live = cell.world == "live"
    config = ScheduleConfig(
        nodes=5 if live else 0,
        swarm=not live,
        faults=LIVE_KINDS if live else VIRTUAL_KINDS,
        warmup_s=1.5,
        duration_s=15,
        ops_per_second=100 if live else RATE,
    )
    return Settings(world=cell.world, schedule=config, timing=TIMING, mutant=cell.mutant)


def _seeds(job: Job) -> Iterator[int]:
    if job.first is not None:
        yield job.first
    yield from (seed for seed in count(job.start) if seed != job.first)


def _violated(settings: Settings, seed: int, without: str) -> tuple[list[str], list[str]]:
    """The invariants that are violated in the run of this seed, and the parts of its schedule."""
    plan, episodes = settings.make_schedule(seed), episodes_of(seed, settings.schedule)
    if without:
        plan = left_out(plan, episodes, without)
    verdicts: list[Verdict]
    if settings.world == "sim":
        driver = MemoryDriver(parts_of(settings.mutant))
        verdicts = VirtualRun(plan, timing=settings.timing, driver=driver).go().analysis.invariants
    else:
        with TemporaryDirectory(prefix="raft-chaos-matrix-") as folder:
            directory = new_run_dir(Path(folder), seed)
            info = describe(settings, seed, plan, directory)
            verdicts = run_in_world(settings, plan, directory, info, fail_fast=True).invariants
    violated = [verdict.invariant for verdict in verdicts if verdict.outcome == "violated"]
    return violated, parts_in(plan, episodes)
