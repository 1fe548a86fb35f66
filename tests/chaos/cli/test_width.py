"""Pages fit the terminal, from 40 to 200 columns; only commands and paths, which are copied, may stick out."""

from __future__ import annotations

import os
import pty
import subprocess
import termios
from pathlib import Path

import pytest

from builders.commands import RAFT_CHAOS, Command, only_run, raft_chaos
from raft_chaos.chaos.cli.width import NO_TERMINAL, columns

VOTES_TWICE = ("--mutant", "vote_not_persisted", "--rate", "30", "--duration", "4", "--nodes", "3", "--no-swarm")


@pytest.fixture(scope="module")
def red(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("red")
    assert raft_chaos("run", "--world", "sim", "--seed", "1", *VOTES_TWICE, "-q", "--out", str(out)).returncode == 1
    return only_run(out).path


def sticks_out(line: str, width: int) -> bool:
    """Whether a line is too long although it could end between two words."""
    return len(line) > width and "raft-chaos" not in line and max(map(len, line.split())) < width - 16


@pytest.mark.parametrize("width", [40, 120])
@pytest.mark.parametrize("words", [["faults"], ["mutants"], ["targets"], ["check"], ["report"], ["explain"]])
def test_a_page_fits_the_terminal(
    words: list[str], width: int, red: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    _, stdout, _ = command(*words, *([red] if words[0] in ("check", "report", "explain") else []))
    assert [line for line in stdout.splitlines() if sticks_out(line, width)] == []
    assert stdout.strip()


def test_the_first_words_of_a_red_run_are_the_violation(red: Path, command: Command) -> None:
    for words in (["check", red], ["report", red], ["explain", red]):
        assert command(*words)[1].startswith("VIOLATED ")


@pytest.mark.parametrize(("asked", "width"), [("72", 72), ("10", 40), ("1000", 200)])
def test_columns_says_how_wide(asked: str, width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", asked)
    assert columns() == width


def test_without_a_terminal_there_is_a_width_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "get_terminal_size", lambda _: os.terminal_size((0, 0)))
    for asked in ("", "0", "wide"):
        monkeypatch.setenv("COLUMNS", asked)
        assert columns() == NO_TERMINAL


def test_the_width_is_that_of_the_terminal_at_the_other_end_of_a_pipe() -> None:
    """As with `raft-chaos mutants | less`: stdout is a pipe, and stderr is the terminal."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 60))
    plain = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    done = subprocess.run([RAFT_CHAOS, "mutants"], stdout=subprocess.PIPE, stderr=theirs, env=plain, timeout=60)
    os.close(ours)
    os.close(theirs)
    assert 50 < max(map(len, done.stdout.decode().splitlines())) <= 60
