"""Every command that reads a saved run, on runs with damaged files: it refuses or judges them, and does not fail."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from builders.commands import Command, only_run, raft_chaos
from cli.test_ends import VOTES_TWICE
from raft_chaos.invariants.rundir import RunDir

COMMANDS = (
    "check RUN",
    "report RUN",
    "explain RUN",
    "trace RUN",
    "diff RUN WHOLE",
    "replay RUN",
    "replay RUN --as sim",
    "repro RUN",
    "shrink RUN --budget 0.1s --jobs 1 --no-anchors",
)
FILES = ("run.json", "schedule.jsonl", "history.jsonl", "harness.jsonl", "order", "nodes/n1/events-0001.jsonl")


def missing(file: Path) -> None:
    file.unlink()


def a_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


def damaged(file: Path) -> None:
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join([lines[0], b'{"no": \xff\n', *lines[2:]]))


def doubled(file: Path) -> None:
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join([*lines[:3], *lines[2:]]))


def cut(file: Path) -> None:
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run in which a node votes twice."""
    out = tmp_path_factory.mktemp("whole")
    assert raft_chaos("run", "--world", "sim", "--seed", "1", *VOTES_TWICE, "-q", "--out", str(out)).returncode == 1
    return unsealed(only_run(out)).path


def unsealed(run: RunDir) -> RunDir:
    """Without its seal every command has to read the damaged files: with one it refuses them at once."""
    info = run.load_info()
    info.evidence = None
    run.save_info(info)
    return run


def every_case() -> Iterator[object]:
    """Each file with each damage. Only two of them are in the quick suite."""
    for name in FILES:
        for damage in (missing, a_folder, damaged, doubled, cut):
            marks = [] if "events" in name and damage in (damaged, doubled) else pytest.mark.slow
            yield pytest.param(name, damage, id=f"{name}-{damage.__name__}", marks=marks)


@pytest.mark.parametrize(("name", "damage"), list(every_case()))
def test_a_damaged_file_is_no_failure_of_the_harness(
    name: str, damage: Callable[[Path], None], whole: Path, tmp_path: Path, command: Command
) -> None:
    run = tmp_path / "run"
    shutil.copytree(whole, run)
    damage(run / name)
    for words in COMMANDS:
        code, _, stderr = command(
            *(word.replace("RUN", str(run)).replace("WHOLE", str(whole)) for word in words.split())
        )
        assert code in (0, 1, 2, 254), f"{words}: {stderr}"
        assert "Traceback" not in stderr
        assert code != 254 or stderr.splitlines()[-1].startswith("raft-chaos: "), "one sentence says what is wrong"


@pytest.mark.slow
def test_an_events_file_that_is_a_folder_is_refused_by_replay(command: Command, tmp_path: Path) -> None:
    """A run of real processes has journals, with which the events are compared."""
    words = ["run", "--world", "lockstep", "--seed", "1", *VOTES_TWICE, "-q", "--out", str(tmp_path / "out")]
    assert command(*words)[0] == 1
    run = unsealed(only_run(tmp_path / "out"))
    a_folder(run.node_events("n1", 1))
    code, stdout, stderr = command("replay", run.path)
    assert (code, stdout, stderr.count("\n")) == (254, "", 1)
    assert str(run.node_events("n1", 1)) in stderr
