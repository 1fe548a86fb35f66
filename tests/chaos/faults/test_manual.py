"""The rows that `raft-chaos faults` and the reference of the faults are made of."""

from __future__ import annotations

from raft_chaos.chaos.faults.catalogue import FAULT_KINDS
from raft_chaos.chaos.faults.manual import rows


def test_each_kind_has_a_row_that_says_what_it_does() -> None:
    assert [row.kind for row in rows()] == list(FAULT_KINDS)
    assert all(len(row.does) > 20 and row.fields for row in rows())
