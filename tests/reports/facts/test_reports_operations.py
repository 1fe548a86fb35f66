"""Client operations, counted by function."""

from __future__ import annotations

from raft_chaos.reports.run.model import RunReport


def test_operations_by_function_with_latencies_of_the_ok_ones(report: RunReport) -> None:
    get, put, every = report.operations
    assert (get.function, get.invoked, get.open, get.p50_us) == ("get", 1, 1, None)
    assert (put.invoked, put.ok, put.fail, put.info, put.open) == (52, 50, 1, 1, 0)
    assert (put.p50_us, put.p99_us, put.max_us) == (25_000, 50_000, 50_000)
    assert (every.function, every.invoked, every.ok) == ("all", 53, 50)
