"""Two benchmarks are compared by the ratios of their rounds; only what is beyond their noise is a change."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bench.compare import compare, page, slower
from bench.measures import Row
from bench.saved import Saved, SavedError, SavedPart, load, save

ROOT = Path(__file__).parents[2]
THEIRS = [100.0, 110.0, 90.0, 105.0, 95.0]


def saved(*ratios: float, name: str = "commands/s", counterpart: bool = True, more_is_better: bool = True) -> Saved:
    """A benchmark with one row whose ratios are these."""
    theirs = THEIRS[: len(ratios)]
    ours = [t * r if more_is_better else t / r for t, r in zip(theirs, ratios, strict=True)]
    row = Row(name, ours, theirs if counterpart else [], more_is_better)
    part = SavedPart(name="throughput", title="As shipped", sides=("raft-chaos", "PySyncObj"), rows=[row])
    return Saved(machine="2 cores", parts=[part])


@pytest.mark.parametrize("more_is_better", [True, False])
@pytest.mark.parametrize(
    ("after", "change"),
    [
        ((0.9, 0.91, 0.89, 0.9, 0.92), "slower"),
        ((1.2, 1.21, 1.19, 1.2, 1.22), "faster"),
        ((0.9, 0.91, 0.99, 0.9, 0.92), ""),  # one round is as before
        ((0.967, 0.968, 0.969, 0.97, 0.966), ""),  # all are slower, but by little
        ((0.5, 0.5, 0.5), "too few rounds"),
    ],
)
def test_only_what_is_beyond_the_noise_is_a_change(after: tuple[float, ...], change: str, more_is_better: bool) -> None:
    before = saved(1.0, 0.98, 1.02, 1.01, 0.99, more_is_better=more_is_better)
    (row,) = compare(before, saved(*after, more_is_better=more_is_better))
    assert row.change == change
    assert bool(slower([row])) is (change == "slower")


def test_another_machine_alone_changes_nothing() -> None:
    before, after = saved(1.0, 0.98, 1.02, 1.01, 0.99), saved(1.0, 0.98, 1.02, 1.01, 0.99)
    (part,) = after.parts
    half = [Row(one.name, [f / 2 for f in one.ours], [f / 2 for f in one.theirs], True) for one in part.rows]
    (row,) = compare(
        before, Saved(machine="slower", parts=[SavedPart(name=part.name, title="", sides=part.sides, rows=half)])
    )
    assert row.change == ""


def test_rows_without_a_counterpart_or_in_one_file_alone_are_not_judged() -> None:
    before = saved(1.0, 1.0, 1.0, 1.0, 1.0, counterpart=False)
    (row,) = compare(before, saved(0.1, 0.1, 0.1, 0.1, 0.1, counterpart=False))
    assert row.change == "no counterpart"
    rows = compare(before, saved(1.0, 1.0, 1.0, 1.0, 1.0, name="other"))
    assert [one.change for one in rows] == ["not in both", "not in both"]
    assert "Only in one of the two: throughput, other" in page(rows)


def test_the_command_says_what_became_slower(tmp_path: Path) -> None:
    save(saved(1.0, 0.98, 1.02, 1.01, 0.99), tmp_path / "before.json")
    save(saved(0.7, 0.7, 0.7, 0.7, 0.7), tmp_path / "after.json")
    done = _compare(tmp_path / "before.json", tmp_path / "after.json")
    assert done.returncode == 1
    assert done.stdout.splitlines()[-1] == "1 of 1 rows became slower: throughput, commands/s"
    assert "-30.0%" in done.stdout
    same = _compare(tmp_path / "before.json", tmp_path / "before.json")
    assert same.returncode == 0
    assert same.stdout.splitlines()[-1] == "0 of 1 rows became slower"


def test_a_file_that_is_none_of_a_benchmark_is_named(tmp_path: Path) -> None:
    file = tmp_path / "other.json"
    file.write_text("{}")
    done = _compare(file, file)
    assert done.returncode == 2
    assert f"{file}: not the file of a benchmark" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_saved_benchmark_is_read_as_it_was(tmp_path: Path) -> None:
    file = tmp_path / "folder" / "bench.json"
    save(saved(1.0, 2.0), file)
    assert load(file) == saved(1.0, 2.0)
    file.write_text(file.read_text().replace('"schema": 1', '"schema": 9'))
    with pytest.raises(SavedError, match="schema 9; this version reads 1"):
        load(file)


def _compare(before: Path, after: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bench", "--compare", str(before), str(after)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
