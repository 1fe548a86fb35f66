"""The benchmark's command line measures both systems and leaves nothing behind. Nothing here is about speed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bench import sim
from bench.cli import table
from bench.measures import QUICK

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.live
def test_a_part_prints_a_figure_of_each_system_and_removes_its_data(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "bench", "--quick", "--only", "failover", "--dir", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    row = next(line for line in done.stdout.splitlines() if line.startswith("leader killed"))
    ours, theirs, _, ratio, *_ = row.removeprefix("leader killed, until the next commit, ms").replace(",", "").split()
    assert float(ours) > 0
    assert float(theirs) > 0
    assert float(ratio) == pytest.approx(float(theirs) / float(ours), rel=0.02)
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_part_is_refused_with_the_parts_that_there_are() -> None:
    done = subprocess.run([sys.executable, "-m", "bench", "--only", "speed"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert (
        "no part 'speed'; there are throughput, durable, unsynced, failover, catch_up, journal, networks, sim"
        in done.stderr
    )


def test_the_simulator_stands_beside_the_bare_loop_where_there_is_something_to_compare() -> None:
    rows = sim.measure(QUICK._replace(simulated_s=5.0))
    assert all(figure > 0 for row in rows for figure in row.ours)
    lines = [line.replace(",", "") for line in table(rows, ("simulator", "bare loop")).splitlines()]
    simulator, bare, _, ratio, *_ = lines[2].removeprefix(rows[0].name.replace(",", "")).split()
    assert float(ratio) == pytest.approx(float(simulator) / float(bare), abs=0.01)
    assert len(lines[-1].removeprefix(rows[-1].name.replace(",", "")).split()) == 1
