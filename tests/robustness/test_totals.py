"""The figures of several parts add up, and no part counts twice."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from totals import CountedError, Totals, table


def test_parts_add_up_over_processes_and_a_part_counts_once(tmp_path: Path) -> None:
    file = tmp_path / "totals.json"
    Totals(file).add("wal", "1", Counter(accepted=2, refused=3))
    later = Totals(file)
    with pytest.raises(CountedError, match="seed 1 of wal is in"):
        later.require_new("wal", "1")
    later.require_new("wal", "2")
    later.require_new("run", "1")
    later.add("wal", "2", Counter(accepted=1, crash=1))
    assert Totals(file).counts == {"wal": Counter(accepted=3, refused=3, crash=1)}


def test_a_table_is_one_that_markdown_reads() -> None:
    assert table(["door", "inputs"], [["wal", 12000]]) == "| door | inputs |\n| --- | --- |\n| wal | 12,000 |"
