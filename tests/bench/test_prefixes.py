"""The benchmark of common prefixes counts what runs share, and changes no run. Nothing here is about speed."""

from __future__ import annotations

import subprocess
import sys
from itertools import count
from pathlib import Path

import pytest
from msgspec.structs import replace

from bench.prefixes import PLAYS, SCHEDULES, Meter, Sums, players, runs
from raft_chaos.chaos.execution.player import Player
from raft_chaos.chaos.execution.steps import Crash, Execution, Start, Step, Timeout
from raft_chaos.chaos.matrix.cells import Cell
from raft_chaos.chaos.matrix.hunt import settings_of
from raft_chaos.chaos.mutants import parts_of
from raft_chaos.chaos.run.nodes.memory_driver import MemoryDriver
from raft_chaos.chaos.run.sim.run import VirtualRun
from raft_chaos.chaos.schedule.generate import generate
from raft_chaos.raft.state.timing import Timing

ROOT = Path(__file__).parents[2]


def ticking(fork_s: float = 0.0) -> Meter:
    """A meter whose clock advances by one each time that it is read: at the ends of a run and at each common step."""
    ticks = count()
    return Meter(fork_s, lambda: float(next(ticks)))


def one_run(meter: Meter, steps: str, *, of: str = "first", named: str | None = None) -> Sums:
    """What this run adds to the sums."""
    before = meter.sums[SCHEDULES]
    meter.begin(of)
    for step in steps:
        meter.step(step)
    meter.end(SCHEDULES, named)
    after = meter.sums[SCHEDULES]
    return Sums(*(getattr(after, name) - getattr(before, name) for name in Sums.__dataclass_fields__))


def test_a_prefix_ends_at_the_first_step_that_differs() -> None:
    meter = ticking()
    assert one_run(meter, "abcd", named="first") == Sums(runs=1, cpu_s=1)
    assert one_run(meter, "abxd") == Sums(runs=1, cpu_s=3, base_s=2, any_s=2, forked_s=2)
    assert one_run(meter, "abxe") == Sums(runs=1, cpu_s=4, base_s=2, any_s=3, forked_s=3)
    assert one_run(meter, "bcd") == Sums(runs=1, cpu_s=1)
    assert one_run(meter, "abcd", of="another") == Sums(runs=1, cpu_s=5, base_s=0, any_s=4, forked_s=4)


def test_a_new_search_shares_nothing_with_an_earlier_one() -> None:
    meter = ticking()
    one_run(meter, "abcd", named="first")
    meter.forget()
    assert one_run(meter, "abcd") == Sums(runs=1, cpu_s=1)


def test_a_fork_costs_its_time_and_is_left_out_if_it_saves_less() -> None:
    meter = ticking(fork_s=1.5)
    one_run(meter, "abcd", named="first")
    assert one_run(meter, "abcx").forked_s == 1.5
    assert one_run(meter, "axcd").forked_s == 0


def test_a_measured_run_has_the_same_trace() -> None:
    settings = settings_of(Cell(mutant="", world="sim"))
    schedule = generate(1, replace(settings.schedule, duration_s=4))
    meter = Meter(0.0)
    plain, *measured = (
        kind(schedule, timing=settings.timing, driver=MemoryDriver(parts_of(None)), max_events=2_000).go().trace_sha256
        for kind in (VirtualRun, runs(meter), runs(meter))
    )
    assert measured == [plain, plain]
    sums = meter.sums[SCHEDULES]
    assert sums.runs == 2
    assert 0 < sums.any_s < sums.cpu_s


def test_a_measured_play_has_the_same_trace() -> None:
    steps: list[Step] = [Start("n1"), Timeout("n1"), Crash("n1"), Start("n1")]
    execution = Execution(
        seed=1, nodes=["n1", "n2", "n3"], timing=Timing(150_000, 300_000, 50_000), calls=[], steps=steps
    )
    meter = Meter(0.0)
    plain, *measured = (
        kind(execution, MemoryDriver(parts_of(None))).play().trace_sha256
        for kind in (Player, players(meter), players(meter))
    )
    assert measured == [plain, plain]
    assert meter.sums[PLAYS].runs == 2


@pytest.mark.slow
def test_each_kind_of_run_has_a_row() -> None:
    options = ["vote_not_persisted", "--explored", "empty_after_lost_log", "--budget", "4"]
    done = subprocess.run(
        [sys.executable, "-m", "bench.prefixes", *options], cwd=ROOT, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in done.stdout.splitlines() if "|" in line][2:]
    assert [row[0].partition(":")[0] for row in rows] == [
        *("shrink", "shrink", "explore", "explore", "causality"),
        *("shrink", "explore"),
    ]
    assert {row[0]: int(row[1]) for row in rows}["shrink: runs of schedules"] > 0


def test_an_unknown_mutant_is_refused() -> None:
    done = subprocess.run([sys.executable, "-m", "bench.prefixes", "x"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert "there is no 'x'" in done.stderr
