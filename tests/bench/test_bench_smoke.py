"""The benchmark's command line measures both systems and leaves nothing behind. Nothing here is about speed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bench import latency, restart, sim
from bench.cli import PARTS, table
from bench.etcd_node import PROGRAM
from bench.measures import QUICK
from bench.start import BEGIN, PRINTS
from raft_chaos.raft.storage.disk import OsDisk
from raft_chaos.raft.storage.identity import Identity
from raft_chaos.raft.storage.wal import WriteAheadLog

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


@pytest.mark.slow
@pytest.mark.live
def test_each_network_that_this_machine_has_is_measured_beside_loopback(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "bench", "--quick", "--only", "networks", "--dir", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    for name in ("frames", "tcp"):
        rows = [line for line in done.stdout.splitlines() if line.startswith(f"{name}: ")]
        assert [row.partition(":")[2].split(",")[0].strip() for row in rows] == [
            "round trip of 100 bytes",
            "one connection",
        ]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.live
@pytest.mark.skipif(PROGRAM is None, reason="etcd is not installed")
def test_etcd_is_measured_beside_ours(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "bench", "--quick", "--only", "etcd", "--dir", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    for name in ("1 client: commands/s", "64 clients: commands/s", "a node catches up 2000 entries, s"):
        row = next(line for line in done.stdout.splitlines() if line.startswith(name))
        ours, theirs, *_ = row.removeprefix(name).replace(",", "").split()
        assert float(ours) > 0
        assert float(theirs) > 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.live
def test_each_command_is_cut_into_its_parts(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "bench.latency", "--commands", "50", "--folder", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = {name: line.removeprefix(name).split() for line in done.stdout.splitlines() for name in (line[:42].strip(),)}
    whole = float(rows["the whole command"][0])
    for part, _, _ in latency.PARTS:
        assert 0 <= float(rows[part][0]) <= whole
    assert float(rows["bare: one write and its sync"][0]) > 0
    cut, of = (int(word) for word in done.stderr.split() if word.isdecimal())
    assert of == 50 and cut >= 25
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.live
def test_so_few_commands_take_a_snapshot_all_the_same(tmp_path: Path) -> None:
    options = ["--only", "snapshot,restart,memory", "--commands", "300", "--rounds", "1", "--dir", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, "-m", "bench", *options], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for name in ("a node catches up 300 entries, s", "a node starts after 300 commands, s"):
        row = next(line for line in done.stdout.splitlines() if line.startswith(name))
        ours, theirs, *_ = row.removeprefix(name).split()
        assert float(ours) > 0
        assert float(theirs) > 0
    for name in ("no snapshots", "snapshots"):
        steps = [line for line in done.stdout.splitlines() if line.startswith(f"{name}: after ")]
        assert [line.split(" commands, MB")[0].split()[-1] for line in steps] == ["60", "120", "180", "240", "300"]
    assert list(tmp_path.iterdir()) == []


def test_a_restart_reads_a_snapshot_and_a_tail_in_place_of_the_log(tmp_path: Path) -> None:
    """A no-op and 300 commands, 64 in a write: a snapshot after at least 100 entries comes with entries 129 and 257."""
    found = []
    for every in (100, 0):
        disk = OsDisk(restart.fill(tmp_path / f"{every}", 300, every))
        found.append(WriteAheadLog(disk).recover(Identity(restart.CLUSTER, restart.NODE)))
        disk.close()
    compacted, whole = found
    assert compacted.snapshot is not None
    assert compacted.snapshot.index == 257
    assert whole.snapshot is None
    assert len(whole.entries) == 301
    assert compacted.entries == whole.entries[257:]


@pytest.mark.slow
@pytest.mark.live
def test_each_command_begins_where_the_benchmark_of_the_start_ends_it(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "bench", "--quick", "--only", "start", "--dir", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len([line for line in done.stdout.splitlines() if line.startswith("raft-chaos ")]) == len((*PRINTS, *BEGIN))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("given", ["0", "many"])
def test_a_number_of_commands_is_at_least_one(given: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bench", f"--commands={given}"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert f"expected a number of at least 1, got '{given}'" in done.stderr


def test_an_unknown_part_is_refused_with_the_parts_that_there_are() -> None:
    done = subprocess.run([sys.executable, "-m", "bench", "--only", "speed"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert f"no part 'speed'; there are {', '.join(PARTS)}" in done.stderr


def test_the_simulator_stands_beside_the_bare_loop_where_there_is_something_to_compare() -> None:
    rows = sim.measure(QUICK._replace(simulated_s=5.0))
    assert all(figure > 0 for row in rows for figure in row.ours)
    lines = [line.replace(",", "") for line in table(rows, ("simulator", "bare loop")).splitlines()]
    simulator, bare, _, ratio, *_ = lines[2].removeprefix(rows[0].name.replace(",", "")).split()
    assert float(ratio) == pytest.approx(float(simulator) / float(bare), abs=0.01)
    assert len(lines[-1].removeprefix(rows[-1].name.replace(",", "")).split()) == 1
