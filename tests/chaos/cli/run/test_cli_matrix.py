"""`raft-chaos matrix`: its estimate, its tables and files, a comparison, and bad arguments."""

from __future__ import annotations

from pathlib import Path

import pytest

from builders.commands import Command


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["none_such"], "MUTANT: there is no 'none_such'"),
        (["--worlds", "mars"], "--worlds: there is no 'mars'"),
        (["--worlds", ","], "--worlds: expected some of "),
        (["--without", "figure_9"], "--without: there is no 'figure_9'; did you mean 'figure_8'?"),
        (["--compare", "absent"], "--compare: absent: cannot be read as a matrix"),
        (["--markdown", "absent/matrix.md"], "--markdown: cannot write absent/matrix.md"),
    ],
)
def test_bad_arguments_say_what_was_expected(command: Command, words: list[str], said: str) -> None:
    code, _, stderr = command("matrix", *words)
    assert (code, said in stderr) == (254, True), stderr


def test_the_time_is_estimated_without_a_hunt(command: Command, tmp_path: Path) -> None:
    code, stdout, _ = command("matrix", "--dry-run", "--out", tmp_path)
    assert code == 0
    assert [line.partition(":")[0] for line in stdout.splitlines()[:4]] == ["sim", "lockstep", "live", "left out"]
    assert stdout.splitlines()[-1].startswith("in all about ")


@pytest.mark.slow
def test_a_small_matrix_is_made_and_compared(command: Command, tmp_path: Path) -> None:
    words = ["vote_not_persisted", "--worlds", "sim,lockstep", "--hunts", "2", "--without", "kill,churn", "--jobs", "1"]
    files = ["--out", tmp_path, "--markdown", tmp_path / "matrix.md", "--html", tmp_path / "matrix.html"]
    code, stdout, stderr = command("matrix", *words, *files)
    assert code == 0, stderr
    assert "1 of 1 mutant convicted within 60 CPU s" in stdout
    assert "lockstep: 1 of 1 convicted." in stdout
    assert "needed for" in (tmp_path / "matrix.md").read_text("utf-8")
    assert "vote_not_persisted, one_vote_per_term" in (tmp_path / "matrix.html").read_text("utf-8")
    (made,) = tmp_path.glob("matrix-*.jsonl")
    code, stdout, stderr = command("matrix", *words, *files, "--compare", made)
    assert code == 0 and "Before and after" in stdout and "1.00x" in stdout
    assert "sim: 0 of 2 campaigns left" in stderr
