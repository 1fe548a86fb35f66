"""The manual's tables of faults, roles and episodes, which are made from the code."""

from __future__ import annotations

from pathlib import Path

from raft_chaos.chaos.faults.catalogue import FAULT_KINDS
from raft_chaos.chaos.faults.manual import markdown, roles_markdown, rows
from raft_chaos.chaos.schedule.steered.catalogue import markdown as episodes_markdown

MANUAL = Path(__file__).parents[3] / "docs" / "manual.md"


def test_the_manual_has_the_table_that_the_code_makes() -> None:
    for table in (markdown(), roles_markdown(), episodes_markdown()):
        assert table in MANUAL.read_text(), f"put this table into docs/manual.md:\n{table}"


def test_each_kind_has_a_row_that_says_what_it_does() -> None:
    assert [row.kind for row in rows()] == list(FAULT_KINDS)
    assert all(len(row.does) > 20 and row.fields for row in rows())
