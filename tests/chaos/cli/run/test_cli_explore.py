"""`raft-chaos explore`: its result, its page, and bad arguments."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from builders.commands import Command


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--mutant", "none_such"], "--mutant: there is no 'none_such'"),
        (["--strategy", "guide"], "--strategy: there is no 'guide'; did you mean 'guided'?"),
        (["--budget", "soon"], "--budget: expected a time such as 60s or 5m, got 'soon'"),
    ],
)
def test_bad_arguments_say_what_was_expected(command: Command, words: list[str], said: str) -> None:
    code, _, stderr = command("explore", *words)
    assert (code, said in stderr) == (254, True), stderr


@pytest.mark.slow
def test_a_mutant_is_found_and_its_run_repeats(command: Command, tmp_path: Path) -> None:
    words = ["--mutant", "vote_not_persisted", "--max-failures", "1", "--jobs", "1", "--out", tmp_path, "--quiet"]
    code, stdout, stderr = command("explore", "--budget", "60s", *words, "--json")
    assert code == 1, stderr
    document = json.loads(stdout)
    (failure,) = document["failures"]
    page = (Path(document["folder"]) / "explore.html").read_text("utf-8")
    assert "States over time" in page
    assert failure["violated"][0] in page
    assert (Path(failure["run"]) / "report.html").is_file()
    repeated = failure["repro"].split()[1:]
    assert command(*repeated, "--out", tmp_path / "again", "--quiet")[0] == 1
