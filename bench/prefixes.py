"""Measures how much of the work of shrinking, exploration and causality repeats the beginning of an earlier run.

    python -m bench.prefixes [--budget 60] [MUTANT ...] [--explored [MUTANT ...]]

A simulation that is forked at a step costs only its rest. Two runs are the same up to the first line in which their
traces differ, two plays of executions up to the first step that differs. The table shows which share of the CPU time
comes before that, and the most that forks there would gain: the whole CPU time, divided by what is left of it.

    base    compared with the run from which this one was made: the last failure under the same seed, the parent of an
            attempt, the execution of a continuation
    any     compared with all earlier runs of the same search; such a fork needs a waiting process at each step of each
    forked  the same, but each fork costs its time, and no run is forked that would save less
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from array import array
from collections.abc import Callable
from dataclasses import astuple, dataclass
from itertools import count
from statistics import median
from typing import Any
from unittest.mock import patch

import msgspec
from tabulate import tabulate

from raft_chaos.chaos.execution.player import Played, Player
from raft_chaos.chaos.execution.steps import Execution, Step
from raft_chaos.chaos.exploration.attempt import Attempt, carry_out
from raft_chaos.chaos.exploration.causality import causality
from raft_chaos.chaos.exploration.corpus import Corpus
from raft_chaos.chaos.exploration.explorer import STRATEGIES, Explorer
from raft_chaos.chaos.exploration.walk import Walk
from raft_chaos.chaos.matrix.cells import Cell, Job
from raft_chaos.chaos.matrix.hunt import hunt, settings_of
from raft_chaos.chaos.mutants import MUTANTS, parts_of
from raft_chaos.chaos.reproduction.file import Origin
from raft_chaos.chaos.reproduction.reproduce import JUDGED_BY_TIME
from raft_chaos.chaos.run.sim.recorder import Stream
from raft_chaos.chaos.run.sim.run import Simulated, VirtualRun
from raft_chaos.chaos.schedule.data import Schedule
from raft_chaos.chaos.shrink.failure import Failure, Shrinker

SHRUNK = (
    *("vote_not_persisted", "term_then_vote", "vote_cleared_same_term", "stale_vote_counted", "ack_before_sync"),
    *("commit_past_match", "conflict_cut_too_far", "old_term_commit", "no_client_dedup", "snapshot_drops_sessions"),
    *("mark_ignored", "learner_counts"),
)
EXPLORED = ("empty_after_lost_log", "checksum_not_checked", "old_term_commit")
HUNTED_S = 120.0
FORKS = 50
SHRINK, EXPLORATION = "raft_chaos.chaos.shrink", "raft_chaos.chaos.exploration"

SCHEDULES, PLAYS = "shrink: runs of schedules", "shrink: plays of executions"
FRESH, CHANGED = "explore: fresh schedules", "explore: changed schedules"
WALKS = "causality: continuations"
KINDS = (SCHEDULES, PLAYS, FRESH, CHANGED, WALKS)
TOGETHER = {"shrink": (SCHEDULES, PLAYS), "explore": (FRESH, CHANGED)}

_encode = msgspec.msgpack.Encoder().encode


@dataclass
class Sums:
    """Of all runs of one kind, in CPU seconds: the whole, and what forks could have saved of it in the three ways."""

    runs: int = 0
    cpu_s: float = 0.0
    base_s: float = 0.0
    any_s: float = 0.0
    forked_s: float = 0.0

    def __add__(self, other: Sums) -> Sums:
        return Sums(*(one + two for one, two in zip(astuple(self), astuple(other), strict=True)))

    def row(self) -> list[object]:
        """The cells of the table."""
        if not self.runs:
            return [0]
        shares = [saved_s / self.cpu_s for saved_s in (self.base_s, self.any_s, self.forked_s)]
        figures = f"{self.cpu_s:.1f}", f"{self.cpu_s / self.runs * 1e3:.1f}"
        return [self.runs, *figures, *(f"{one:.0%}" for one in shares), *(f"x {1 / (1 - one):.2f}" for one in shares)]


class Meter:
    """Compares each run with the earlier ones. Call `begin`, then `step` for all that happens in it, in order, then
    `end`; `forget` begins a new search. A run without an end does not count."""

    def __init__(self, fork_s: float, clock: Callable[[], float] = time.process_time) -> None:
        self.fork_s = fork_s
        self._clock = clock
        self.sums = {kind: Sums() for kind in KINDS}
        self.forget()

    def forget(self) -> None:
        self._seen: set[int] = set()  # used only for membership tests
        self._bases: dict[object, array[int]] = {}

    def begin(self, base: object) -> None:
        """A run of which the base, if there is one, has this name."""
        self._base = self._bases.get(base, array("q"))
        self._chain = array("q", [0])
        self._same_as_base = self._same_as_any = True
        self._began_s = self._of_base_s = self._of_any_s = self._clock()

    def step(self, what: object) -> None:
        """Each step has the hash of all steps up to it, so equal hashes are equal beginnings."""
        place, chain = len(self._chain), hash((self._chain[-1], what))
        self._chain.append(chain)
        if self._same_as_any:
            self._same_as_any = chain in self._seen
            self._same_as_base &= place < len(self._base) and chain == self._base[place]
            if self._same_as_any:
                self._of_any_s = self._clock()
            if self._same_as_base:
                self._of_base_s = self._of_any_s

    def end(self, kind: str, base: object = None) -> None:
        """The run is over; if it has a name, it is the base of this name from now on."""
        any_s = self._of_any_s - self._began_s
        self.sums[kind] += Sums(
            runs=1,
            cpu_s=self._clock() - self._began_s,
            base_s=self._of_base_s - self._began_s,
            any_s=any_s,
            forked_s=max(0.0, any_s - self.fork_s),
        )
        self._seen.update(self._chain)
        if base is not None:
            self._bases[base] = self._chain

    def write(self, stream: Stream, lines: bytes, count: int) -> None:
        """The meter is the recorder of a run: it takes the lines of its trace."""
        self.step((stream, lines))


def runs(meter: Meter) -> type[VirtualRun]:
    """The class of a shrinker's runs. Those under one seed have the last one that failed as their base."""

    class Measured(VirtualRun):
        def __init__(self, schedule: Schedule, until: str | None = None, **options: Any) -> None:
            meter.begin(schedule.header.seed)
            super().__init__(schedule, recorder=meter, until=until, **options)
            self._wanted = until

        def go(self) -> Simulated:
            simulated = super().go()
            violated = [one.invariant for one in simulated.analysis.invariants if one.outcome == "violated"]
            meter.end(SCHEDULES, self.schedule.header.seed if self._wanted in violated else None)
            return simulated

    return Measured


def attempts(meter: Meter, attempt: Attempt) -> type[VirtualRun]:
    """The class of this attempt's run."""

    class Measured(VirtualRun):
        def __init__(self, schedule: Schedule, **options: Any) -> None:
            meter.begin(attempt.parent)
            super().__init__(schedule, recorder=meter, **options)

        def go(self) -> Simulated:
            simulated = super().go()
            meter.end(FRESH if attempt.way == "fresh" else CHANGED, attempt.number)
            return simulated

    return Measured


def players(meter: Meter) -> type[Player]:
    """The class of plays. The last one that failed is the base of those after it."""

    class Measured(Player):
        def __init__(self, execution: Execution, *rest: Any, **options: Any) -> None:
            meter.begin(PLAYS)
            super().__init__(execution, *rest, **options)
            meter.step(tuple(execution.nodes))

        def do(self, number: int, step: Step) -> str:
            impossible = super().do(number, step)
            meter.step((number, _encode(step), impossible))
            return impossible

        def play(self, until: str | None = None) -> Played:
            played = super().play(until)
            meter.end(PLAYS, PLAYS if until is not None and played.violates(until) else None)
            return played

    return Measured


def walks(meter: Meter) -> type[Walk]:
    """The class of continuations, whose players are measured too."""

    class Measured(Walk):
        def breaks(self, *rest: Any) -> bool:
            broke = super().breaks(*rest)
            meter.end(WALKS)
            return broke

    return Measured


def conviction(mutant: str) -> Failure | None:
    """The first failure that a hunt of the matrix finds, of an invariant that an execution can violate if possible."""
    cell = Cell(mutant=mutant, world="sim")
    found = hunt(Job(cell=cell, start=1), HUNTED_S)
    if found is None or found.seed is None:
        return None
    settings = settings_of(cell)
    invariant = next((one for one in found.violated if one not in JUDGED_BY_TIME), found.violated[0])
    origin = Origin(world="sim", seed=found.seed)
    return Failure(invariant, mutant, settings.timing, settings.make_schedule(found.seed), origin)


def shrink(failure: Failure, budget_s: float, meter: Meter) -> Execution | None:
    """Shrinks the failure in this process, and returns its small execution."""
    meter.forget()
    with patch(f"{SHRINK}.schedules.VirtualRun", runs(meter)), patch(f"{SHRINK}.executions.Player", players(meter)):
        return Shrinker(failure, budget_s, jobs=1).run().reproduction.execution


def measure_causality(execution: Execution, failure: Failure, budget_s: float, meter: Meter) -> None:
    """Measures its chances. The base of each continuation is the execution."""
    meter.forget()
    parts = parts_of(failure.mutant)
    with patch(f"{EXPLORATION}.walk.Player", players(meter)), patch(f"{EXPLORATION}.causality.Walk", walks(meter)):
        Walk(execution, len(execution.steps), parts)
        meter.end(WALKS, PLAYS)
        causality(execution, failure.invariant, parts, seed=1, budget_s=budget_s)


def explore(mutant: str, budget_s: float, meter: Meter) -> None:
    """One guided exploration until the budget ends; a failure does not end it."""
    meter.forget()
    settings = settings_of(Cell(mutant=mutant, world="sim"))
    explorer = Explorer(settings, 1, STRATEGIES["guided"], Corpus(None))
    ends_s = time.process_time() + budget_s
    for number in count():
        if time.process_time() >= ends_s:
            return
        attempt = explorer.next(number)
        with patch(f"{EXPLORATION}.attempt.VirtualRun", attempts(meter, attempt)):
            explorer.took(attempt, carry_out(attempt.schedule, settings.timing, mutant))


def fork_s() -> float:
    """How long it takes to fork this process and to see the child end, at least: the child does nothing."""
    took: list[float] = []
    for _ in range(FORKS):
        began_s = time.perf_counter()
        child = os.fork()
        if not child:
            os._exit(0)
        os.waitpid(child, 0)
        took.append(time.perf_counter() - began_s)
    return median(took)


def table(meter: Meter) -> str:
    rows = [[kind, *sums.row()] for kind, sums in meter.sums.items()]
    rows += [[name, *sum((meter.sums[kind] for kind in kinds), Sums()).row()] for name, kinds in TOGETHER.items()]
    headers = ["", "runs", "CPU s", "ms each", "base", "any", "forked", "gain: base", "any", "forked"]
    return tabulate(rows, headers, tablefmt="github", disable_numparse=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.prefixes")
    parser.add_argument("mutants", nargs="*", metavar="MUTANT", default=SHRUNK, help="whose convictions are shrunk")
    parser.add_argument("--explored", nargs="*", metavar="MUTANT", default=EXPLORED, help="in which to explore")
    parser.add_argument("--budget", type=float, default=60, help="seconds for each; a third of it for causality")
    options = parser.parse_args()
    for mutant in (*options.mutants, *options.explored):
        if mutant not in MUTANTS:
            parser.error(f"there is no {mutant!r}; there are {', '.join(MUTANTS)}")
    meter = Meter(fork_s())
    for mutant in options.mutants:
        failure = conviction(mutant)
        if failure is None:
            print(f"{mutant}: not convicted in {HUNTED_S:.0f} CPU s", file=sys.stderr)
            continue
        execution = shrink(failure, options.budget, meter)
        if execution is not None:
            measure_causality(execution, failure, options.budget / 3, meter)
        print(f"{mutant}: {failure.invariant}", file=sys.stderr, flush=True)
    for mutant in options.explored:
        explore(mutant, options.budget, meter)
        print(f"{mutant}: explored", file=sys.stderr, flush=True)
    print(table(meter))
    print(f"\nOne fork takes {meter.fork_s * 1e3:.2f} ms here, at least.")


if __name__ == "__main__":
    main()
