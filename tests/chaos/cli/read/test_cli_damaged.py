"""Every command that rests on a run's files says that they have changed, and decides nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from builders.commands import Command
from builders.runs import recorded_run, unsealed
from builders.schedules import TWO_LEADERS, short
from raft_chaos.invariants.rundir import RunDir


@pytest.fixture
def damaged(tmp_path: Path) -> RunDir:
    """A violated run with one line twice."""
    run = recorded_run(short(*TWO_LEADERS), tmp_path, "vote_not_persisted")
    lines = run.history.read_bytes().splitlines(keepends=True)
    run.history.write_bytes(b"".join([lines[0], *lines]))
    return run


@pytest.mark.parametrize("words", [["check"], ["explain"], ["shrink"], ["replay"], ["replay", "--as", "sim"]])
def test_the_run_is_unknown_and_the_file_is_named(words: list[str], damaged: RunDir, command: Command) -> None:
    code, told, said = command(words[0], damaged.path, *words[1:])
    assert code == 2
    assert "history.jsonl: has " in told + said
    assert not (damaged.path / "reproduction.json").exists()


def test_the_report_is_about_the_damage(damaged: RunDir, command: Command) -> None:
    code, told, _ = command("report", damaged.path)
    assert code == 0
    assert told.startswith("UNKNOWN (")
    assert "history.jsonl: has " in told and "VIOLATED" not in told


def test_check_marks_a_run_without_a_seal(tmp_path: Path, command: Command) -> None:
    run = recorded_run(short(*TWO_LEADERS), tmp_path, "vote_not_persisted")
    assert "UNSEALED" not in command("check", run.path)[1]
    assert json.loads(command("check", run.path, "--json")[1])["sealed"] is True
    unsealed(run)
    code, told, _ = command("check", run.path)
    assert code == 1 and "UNSEALED: run.json does not list the files" in told
    assert json.loads(command("check", run.path, "--json")[1])["sealed"] is False
