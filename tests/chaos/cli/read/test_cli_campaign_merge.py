"""`raft-chaos campaign merge`: what it prints, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from builders.commands import raft_chaos

OPTIONS = ("--world", "sim", "--duration", "4", "--rate", "10", "--quiet")


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("shards")
    for name, seeds in (("a", "1..2"), ("b", "2..3")):
        raft_chaos("run", *OPTIONS, "--seeds", seeds, "--out", str(folder / name))
    return [folder / "a", folder / "b"]


@pytest.mark.slow
def test_shards_are_joined_and_reported(shards: list[Path], tmp_path: Path) -> None:
    done = raft_chaos("campaign", "merge", *map(str, shards), "--out", str(tmp_path))
    (file,) = tmp_path.iterdir()
    assert done.returncode == 0, done.stderr
    assert f"2 shards with 3 of 3 seeds  {file}" in done.stdout and "VALID seeds 1..3" in done.stdout
    reported = raft_chaos("report", str(tmp_path))
    assert "VALID seeds 1..3" in reported.stdout


@pytest.mark.slow
def test_the_document_names_the_shards(shards: list[Path], tmp_path: Path) -> None:
    done = raft_chaos("campaign", "merge", *map(str, shards), "--out", str(tmp_path), "--json")
    document = json.loads(done.stdout)
    assert document["done"] == document["total"] == 3 and len(document["shards"]) == 2
    assert Path(document["file"]).is_file()


@pytest.mark.slow
def test_different_results_of_one_seed_end_it(shards: list[Path], tmp_path: Path) -> None:
    (file,) = shards[1].iterdir()
    changed = tmp_path / "changed.jsonl"
    changed.write_text(file.read_text().replace('"trace_sha256":"', '"trace_sha256":"0'))
    done = raft_chaos("campaign", "merge", str(shards[0]), str(changed), "--out", str(tmp_path / "out"))
    assert done.returncode == 255 and "seed 2: " in done.stderr and "selfcheck --seeds 2" in done.stderr
    assert not (tmp_path / "out").exists() and "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("join", "a"), "there is no 'join'"),
        (("merge",), "FILE..."),
        (("merge", "missing.jsonl"), "missing.jsonl: cannot be read as a campaign"),
        (("merge", "."), "expected a campaign's file in this folder"),
    ],
)
def test_wrong_arguments_are_refused_with_a_sentence(arguments: tuple[str, ...], said: str, tmp_path: Path) -> None:
    done = raft_chaos("campaign", *arguments, cwd=tmp_path)
    assert done.returncode == 254 and said in done.stderr and "Traceback" not in done.stderr, done.stderr
