"""`raft-chaos effects`: its tables and exit codes, and bad arguments."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from builders.commands import Command


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["kil"], "KIND: there is no 'kil'; did you mean 'kill'?"),
        (["wipe", "--worlds", "sim"], "KIND: none of these exists in sim: wipe"),
        (["--worlds", "mars"], "--worlds: there is no 'mars'"),
        (["--target", "absent.toml"], "--target: absent.toml: there is no such file"),
        (["--target", "examples/raft_node.toml", "--networks", "string"], "--networks: there is no 'string'"),
    ],
)
def test_bad_arguments_say_what_was_expected(command: Command, words: list[str], said: str) -> None:
    code, _, stderr = command("effects", *words)
    assert (code, said in stderr) == (254, True), stderr


@pytest.mark.slow
def test_the_tables_and_the_page_have_each_kind(command: Command, tmp_path: Path) -> None:
    page = tmp_path / "effects.md"
    code, stdout, stderr = command(
        "effects", "kill", "pause", "--worlds", "sim", "--seeds", "2", "--jobs", "1", "--markdown", page, "--json"
    )
    assert code == 0, stderr
    assert [(one["kind"], one["place"], one["drawn"]) for one in json.loads(stdout)] == [
        ("kill", "sim", 2),
        ("pause", "sim", 2),
    ]
    assert "2 kinds in 1 place: each had an effect" in page.read_text("utf-8")
