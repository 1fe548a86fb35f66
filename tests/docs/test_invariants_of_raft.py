"""docs/invariants-of-raft.md names invariants that exist, and the files that judge them."""

from __future__ import annotations

import re
from inspect import getsourcefile
from pathlib import Path

from raft_chaos.invariants.judge import Judge

PAGE = Path(__file__).parents[2] / "docs" / "invariants-of-raft.md"
CHECKERS = {checker.invariant: type(checker) for checker in Judge(can=("get", "enqueue", "dequeue")).checkers}


def rows() -> list[list[str]]:
    """The cells of the first table, without its head."""
    lines = PAGE.read_text().split("## What nothing judges")[0].splitlines()
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if line.startswith("| ")][2:]


def test_each_property_of_the_paper_is_judged() -> None:
    of_the_paper = [row[0] for row in rows() if row[1] == "Figure 3"]
    assert of_the_paper == [
        *("Election Safety", "Leader Append-Only", "Log Matching", "Leader Completeness", "State Machine Safety")
    ]


def test_each_invariant_exists_in_the_file_that_is_named() -> None:
    for property_, _, judged_by, file, _ in rows():
        names = re.findall(r"\[(\w+)\]", judged_by)
        assert names and set(names) <= CHECKERS.keys(), property_
        source = getsourcefile(CHECKERS[names[0]])
        assert source is not None and Path(source).name == file, property_


def test_each_invariant_that_is_mentioned_elsewhere_exists() -> None:
    mentioned = re.findall(r"`([a-z]+(?:_[a-z]+)+)`", PAGE.read_text())
    assert mentioned and set(mentioned) <= CHECKERS.keys()
