"""Compares the strategies of exploration in the same CPU time: states reached, and CPU seconds to the first conviction.

    python -m bench.exploration [--budget 60] [--rounds 5] [--jobs 2] [MUTANT ...]

Each round is one exploration in one process, from a seed of its own, until the first failure or the end of the budget.
"none" is our Raft without a mistake: its rounds last for the whole budget, and the states that they reach are counted.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from math import inf
from multiprocessing import get_context
from statistics import median

from tabulate import tabulate

from raft_chaos.chaos.exploration.attempt import carry_out
from raft_chaos.chaos.exploration.corpus import Corpus
from raft_chaos.chaos.exploration.explorer import STRATEGIES, Explorer
from raft_chaos.chaos.matrix.cells import Cell
from raft_chaos.chaos.matrix.hunt import settings_of
from raft_chaos.chaos.mutants import MUTANTS

NONE = "none"
SEEDS_APART = 10_000


@dataclass(frozen=True)
class Round:
    """`cpu_s` is inf if nothing failed. `way` made the schedule that failed."""

    states: int
    runs: int
    cpu_s: float
    way: str = ""


def explore(mutant: str | None, strategy: str, budget_s: float, seed: int) -> Round:
    settings = settings_of(Cell(mutant=mutant or "", world="sim"))
    explorer = Explorer(settings, seed, STRATEGIES[strategy], Corpus(None))
    began_s, runs = time.process_time(), 0
    while time.process_time() - began_s < budget_s:
        attempt = explorer.next(runs)
        reached = carry_out(attempt.schedule, settings.timing, mutant)
        explorer.took(attempt, reached)
        runs += 1
        if reached.violated:
            return Round(len(explorer.known), runs, time.process_time() - began_s, attempt.way)
    return Round(len(explorer.known), runs, inf)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.exploration")
    parser.add_argument("mutants", nargs="*", metavar="MUTANT", default=[NONE])
    parser.add_argument("--budget", type=float, default=60, help="CPU seconds of a round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    for mutant in options.mutants:
        if mutant not in (NONE, *MUTANTS):
            parser.error(f"there is no {mutant!r}; there are {NONE}, {', '.join(MUTANTS)}")
    seeds = [1 + SEEDS_APART * number for number in range(options.rounds)]
    rows = []
    with ProcessPoolExecutor(options.jobs, get_context("spawn")) as pool:
        for mutant in options.mutants:
            for strategy in STRATEGIES:
                one = partial(explore, None if mutant == NONE else mutant, strategy, options.budget)
                rounds = list(pool.map(one, seeds))
                found = [each for each in rounds if each.cpu_s < inf]
                row = [
                    mutant,
                    strategy,
                    median(each.states for each in rounds),
                    median(each.runs for each in rounds),
                    f"{len(found)}/{len(rounds)}",
                    median(each.cpu_s for each in rounds),
                    " ".join(sorted({each.way for each in found})),
                ]
                rows.append(row)
                print(*row, file=sys.stderr, flush=True)
    headers = ["mutant", "strategy", "states", "runs", "convicted", "CPU s", "by schedules that were"]
    print(tabulate(rows, headers, floatfmt=".1f"))


if __name__ == "__main__":
    main()
