"""docs/raft.md: each name in its table exists, and each mutant and each transcript of the repository occurs there."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from raft_chaos.chaos.mutants import MUTANTS
from raft_chaos.invariants.judge import Judge

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "raft.md").read_text("utf-8")
TRANSCRIPTS = {file.stem for file in (ROOT / "tests/chaos/testing/transcript/transcripts").glob("*.txt")}
INVARIANTS = {checker.invariant for checker in Judge().checkers}
COLUMNS = ("section", "what it asks for", "code", "transcripts", "mutants", "judged by")


def table() -> Iterator[dict[str, str]]:
    """The rows, by column."""
    lines = [line for line in PAGE.split("## What is not here")[0].splitlines() if line.startswith("|")]
    head, _, *rows = ([cell.strip() for cell in line.strip("|").split("|")] for line in lines)
    assert tuple(head) == COLUMNS
    for row in rows:
        yield dict(zip(COLUMNS, row, strict=True))


def names(column: str) -> list[str]:
    """All names in the column. A cell has names in backticks and nothing else, so that no name is overlooked."""
    found = []
    for row in table():
        cell = re.findall(r"`([^`]+)`", row[column])
        assert row[column] == ", ".join(f"`{name}`" for name in cell), f"{row['section']}, {column}"
        found += cell
    return found


@pytest.mark.parametrize("name", names("code"))
def test_each_name_of_code_can_be_imported(name: str) -> None:
    """A module, or something in one."""
    parts = ["raft_chaos", "raft", *name.split(".")]
    for length in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        for attribute in parts[length:]:
            assert attribute in vars(found), f"docs/raft.md: {name}"  # in this very class, not in one before it
            found = getattr(found, attribute)
        return
    pytest.fail(f"docs/raft.md: there is no {name} below raft_chaos.raft")


def test_each_mutant_occurs_and_each_that_occurs_exists() -> None:
    assert set(names("mutants")) == set(MUTANTS)


def test_each_transcript_occurs_and_each_that_occurs_exists() -> None:
    assert set(names("transcripts")) == TRANSCRIPTS


def test_each_invariant_that_occurs_exists() -> None:
    assert set(names("judged by")) <= INVARIANTS


def test_each_row_has_a_section_its_code_and_a_judge() -> None:
    for row in table():
        assert re.search(r"§|Figure", row["section"]), row
        assert row["code"], row["section"]
        assert row["judged by"], row["section"]


def test_the_invariants_of_a_row_are_some_that_its_mutants_may_break() -> None:
    """Otherwise the row would name a judge that never convicts such a mistake."""
    for row in table():
        mutants, judges = (set(re.findall(r"`(\w+)`", row[column])) for column in ("mutants", "judged by"))
        for mutant in sorted(mutants):
            assert judges & set(MUTANTS[mutant].invariants), f"{row['section']}: {mutant}"
