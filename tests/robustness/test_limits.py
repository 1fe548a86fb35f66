"""What users run, on a machine that denies them something: the right end, and nothing left behind.

The slow suite has some of the cases, drawn from a fixed seed, and those that failed once; all of them are
`python tests/robustness/limits.py FOLDER`. The quick suite has one of each kind of end.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from random import Random

import pytest

from builders.commands import only_run, raft_chaos
from builders.schedules import saved, schedule
from cli.test_ends import KILL_THE_LEADER, VOTES_TWICE
from limits import COMMANDS, OUTSIDES, Outside, end, full_disk, why_not

QUICK = [("check", "30 MB of addresses"), ("sim", "16 kB of disk"), ("check", "no working directory")]
FAILED_ONCE = [
    ("shrink", "LC_ALL=POSIX"),
    ("live", "read-only folder"),
    ("check", "50 MB of addresses"),
    ("cluster", "90 MB of addresses"),
]
SEED = 1
CASES = 20
"""Of the slow suite, beside the disks and what failed once; all of it takes a minute on an idle machine."""
DISKS = 3


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the commands need: a valid run of real processes, a violated one, and a schedule."""
    folder = tmp_path_factory.mktemp("places")
    plan = schedule([KILL_THE_LEADER], safety_us=(700_000, 1_600_000))
    calm = Path(saved(folder, plan)).rename(folder / "calm.jsonl")
    words = ["run", "--world", "lockstep", "--schedule", str(calm), "-q", "--out", str(folder / "greens")]
    assert raft_chaos(*words).returncode == 0
    words = ["run", "--world", "sim", "--seed", "1", *VOTES_TWICE, "-q", "--out", str(folder / "reds")]
    assert raft_chaos(*words).returncode == 1
    only_run(folder / "greens").path.rename(folder / "green")
    only_run(folder / "reds").path.rename(folder / "red")
    (folder / "out").mkdir()
    return folder


def slow_cases() -> list[tuple[str, str]]:
    every = [(command, outside) for command in COMMANDS for outside in OUTSIDES]
    drawn = Random(SEED).sample([case for case in every if case not in QUICK + FAILED_ONCE], CASES)
    return FAILED_ONCE + sorted(drawn)


def ends_right(command: str, outside: Outside, places: Path, folder: Path) -> None:
    if reason := why_not(outside):
        pytest.skip(f"this machine cannot make it: {reason}")
    here = folder / "here"
    shutil.copytree(places, here)
    ending = end(command, outside, here)
    assert ending.wrong == [], ending.said


@pytest.mark.parametrize(
    ("command", "outside"), [*QUICK, *(pytest.param(*case, marks=pytest.mark.slow) for case in slow_cases())]
)
def test_a_command_that_is_denied_something(command: str, outside: str, places: Path, tmp_path: Path) -> None:
    ends_right(command, OUTSIDES[outside], places, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("number", range(DISKS))
@pytest.mark.parametrize("world", ["live", "sim", "lockstep"])
def test_a_disk_that_is_full_after_some_bytes(world: str, number: int, places: Path, tmp_path: Path) -> None:
    """A page is 4 kB; a run of this size writes about 700 kB."""
    size_kb = 4 * Random(f"{SEED}/{world}/{number}").randint(1, 175)
    ends_right(world, full_disk(size_kb), places, tmp_path)


def test_a_wrong_end_is_found(places: Path, tmp_path: Path) -> None:
    """An outside that makes any command end with 1, and leaves a file."""
    ending = end("check", Outside('touch "$TMPDIR/left"; exit 1;'), tmp_path)
    assert ending.wrong == [
        "left the temporary file left",
        "the exit code is 1, and not one of [0, 2, 254, 255]",
    ]
