"""One campaign after one mutant: seed after seed, until a run is violated or the budget is spent.

In sim a run goes on after its first violation, so that all invariants which convict the mutant in it are seen.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from raft_chaos.chaos.campaign.seed import run_seed
from raft_chaos.chaos.faults.catalogue import KINDS, VIRTUAL_KINDS
from raft_chaos.chaos.run.settings import Settings, describe, new_run_dir
from raft_chaos.chaos.run.world import World
from raft_chaos.chaos.run.worlds import run_in_world
from raft_chaos.chaos.schedule.config import ScheduleConfig
from raft_chaos.raft.state.timing import Timing

TIMING = Timing(150_000, 300_000, 50_000)
RATE = 30.0
"""Operations a second: enough to see lost writes, few enough for short runs."""


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """What is hunted, and where. `without` is a kind of fault that the schedules leave out, "" for none."""

    mutant: str
    world: World
    without: str = ""


class Hunt(msgspec.Struct, frozen=True, kw_only=True):
    """How one campaign ended. `start` is its first seed. `seed` convicted the mutant after `seeds` seeds; None: the
    budget was spent. `violated` are all invariants that this seed's run violated. `cpu_s` is the CPU time in sim, and
    the time that passed where nodes have processes of their own."""

    cell: Cell
    start: int
    seeds: int
    spent_s: float
    seed: int | None = None
    violated: list[str] = []


def hunt(cell: Cell, start: int, budget_s: float, stopped: Callable[[], bool] = lambda: False) -> Hunt | None:
    """Runs the seeds from `start` on, until one is violated or `budget_s` is spent (CPU time in sim).

    None if it was stopped before.
    """
    settings = settings_of(cell)
    clock: Callable[[], float] = time.process_time if cell.world == "sim" else time.monotonic
    began = clock()
    seed = start
    while True:
        violated = _violated(settings, seed)
        spent_s = clock() - began
        if stopped():
            return None
        if violated or spent_s >= budget_s:
            return Hunt(
                cell=cell,
                start=start,
                seeds=seed - start + 1,
                spent_s=round(spent_s, 3),
                seed=seed if violated else None,
                violated=violated,
            )
        seed += 1


def settings_of(cell: Cell) -> Settings:
    """The swarm in virtual time, the moderate range in real time, at the usual timeouts."""
    live = cell.world == "live"
    there = [kind for kind in VIRTUAL_KINDS if KINDS[kind].in_live] if live else list(VIRTUAL_KINDS)
    config = ScheduleConfig(
        nodes=5 if live else 0,
        swarm=not live,
        faults=tuple(kind for kind in there if kind != cell.without),
        warmup_s=1.5,
        duration_s=15,
        ops_per_second=100 if live else RATE,
    )
    return Settings(world=cell.world, schedule=config, timing=TIMING, mutant=cell.mutant)


def _violated(settings: Settings, seed: int) -> list[str]:
    """The invariants that are violated in the run of this seed."""
    if settings.world == "sim":
        return run_seed(settings, seed, None).violated
    plan = settings.make_schedule(seed)
    with TemporaryDirectory(prefix="raft-chaos-matrix-") as folder:
        directory = new_run_dir(Path(folder), seed)
        info = describe(settings, seed, plan, directory)
        info = run_in_world(settings, plan, directory, info, fail_fast=True)
    return [verdict.invariant for verdict in info.invariants if verdict.outcome == "violated"]
