"""Measures how soon each mutant is convicted: campaigns in sim from different first seeds, until a violation of one of
its invariants.

    python -m bench.convictions [--campaigns 10] [--most 400] [--jobs 2] [--lockstep | --clients-alone] [MUTANT ...]

For each mutant the table shows how many campaigns convicted it, and the medians of the seeds and of the CPU seconds
that this took; a campaign that gives up after `--most` seeds counts as longer than any other. `--lockstep` runs the
first convicting seed of each mutant again with real processes, and compares the traces. With `--clients-alone` the
judge gets no events, only the clients' history, so only linearizability can convict.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from math import inf
from multiprocessing import get_context
from pathlib import Path
from statistics import median

from tabulate import tabulate

from raft_chaos.chaos.faults.catalogue import VIRTUAL_KINDS
from raft_chaos.chaos.mutants import MUTANTS, parts_of
from raft_chaos.chaos.run.lockstep.run import run_lockstep
from raft_chaos.chaos.run.nodes.memory_driver import MemoryDriver
from raft_chaos.chaos.run.settings import Settings, describe
from raft_chaos.chaos.run.sim.run import Simulated, VirtualRun
from raft_chaos.chaos.schedule.config import ScheduleConfig
from raft_chaos.invariants.judge import Judge
from raft_chaos.invariants.rundir import RunDir
from raft_chaos.invariants.verdict import Verdict
from raft_chaos.raft.state.timing import Timing

STARTS_APART = 10_000


@dataclass(frozen=True)
class Conviction:
    """How one campaign ended: after `seeds` runs, at `seed` (None: it gave up), by which invariant."""

    seeds: float
    cpu_s: float
    seed: int | None
    invariant: str


def settings_for(mutant: str) -> Settings:
    """The standard swarm, with 30 client operations a second."""
    timing = Timing(150_000, 300_000, 50_000)
    config = ScheduleConfig(nodes=0, swarm=True, faults=VIRTUAL_KINDS, warmup_s=1.5, duration_s=15, ops_per_second=30)
    return Settings(world="sim", schedule=config, timing=timing, mutant=mutant)


def simulate(settings: Settings, seed: int) -> Simulated:
    schedule = settings.make_schedule(seed)
    driver = MemoryDriver(parts_of(settings.mutant))
    return VirtualRun(schedule, timing=settings.timing, driver=driver, fail_fast=True).go()


def by_clients_alone(settings: Settings, seed: int) -> list[Verdict]:
    """The verdicts of a run, judged like one of a system that reports no events."""
    driver = MemoryDriver(parts_of(settings.mutant))
    run = VirtualRun(settings.make_schedule(seed), timing=settings.timing, driver=driver)
    run.go()
    judge = Judge(events_expected=False)
    for op in run.trace.operations:
        judge.observe_op(op)
    return judge.verdicts()


def campaign(mutant: str, most: int, clients_alone: bool, start: int) -> Conviction:
    """Runs seeds from `start`, at most `most`, until one of the mutant's invariants is violated."""
    settings, began = settings_for(mutant), time.process_time()
    wanted = ("linearizability",) if clients_alone else MUTANTS[mutant].invariants
    for number, seed in enumerate(range(start, start + most), 1):
        verdicts = by_clients_alone(settings, seed) if clients_alone else simulate(settings, seed).analysis.invariants
        for verdict in verdicts:
            if verdict.outcome == "violated" and verdict.invariant in wanted:
                return Conviction(number, time.process_time() - began, seed, verdict.invariant)
    return Conviction(inf, inf, None, "")


def same_in_lockstep(mutant: str, seed: int, folder: Path) -> str:
    """Whether the seed gives the same trace with real processes, in words."""
    settings = settings_for(mutant)
    schedule, run = settings.make_schedule(seed), RunDir(folder / f"{mutant}-{seed}")
    info = describe(settings, seed, schedule, run)
    info = run_lockstep(schedule, settings.timing, mutant, run, info, fail_fast=True)
    equal = info.trace_sha256 == simulate(settings, seed).trace_sha256
    return f"{'equal' if equal else 'DIFFERENT'}, {info.verdict}"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.convictions")
    parser.add_argument("mutants", nargs="*", metavar="MUTANT", help="all by default")
    parser.add_argument("--campaigns", type=int, default=10)
    parser.add_argument("--most", type=int, default=400, help="seeds after which a campaign gives up")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--lockstep", action="store_true")
    parser.add_argument("--clients-alone", action="store_true", help="judge by what clients saw, without any event")
    options = parser.parse_args()
    for mutant in options.mutants:
        if mutant not in MUTANTS:
            parser.error(f"there is no {mutant!r}; there are {', '.join(MUTANTS)}")
    starts = [1 + STARTS_APART * number for number in range(options.campaigns)]
    rows = []
    with ProcessPoolExecutor(options.jobs, get_context("spawn")) as pool, tempfile.TemporaryDirectory() as folder:
        for mutant in options.mutants or MUTANTS:
            ends = list(pool.map(partial(campaign, mutant, options.most, options.clients_alone), starts))
            convicted = [end for end in ends if end.seed is not None]
            row = [
                mutant,
                f"{len(convicted)}/{len(ends)}",
                median(e.seeds for e in ends),
                median(e.cpu_s for e in ends),
            ]
            row.append(" ".join(sorted({end.invariant for end in convicted})))
            if options.lockstep:
                seed = convicted[0].seed if convicted else None
                row += [seed, same_in_lockstep(mutant, seed, Path(folder)) if seed is not None else ""]
            rows.append(row)
            print(mutant, *row[1:], file=sys.stderr, flush=True)
    headers = ["mutant", "convicted", "seeds", "CPU s", "by", "seed", "in lockstep"]
    print(tabulate(rows, headers[: 7 if options.lockstep else 5], floatfmt=".1f"))


if __name__ == "__main__":
    main()
