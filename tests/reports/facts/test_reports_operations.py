"""Client operations, counted by function."""

from __future__ import annotations

from pathlib import Path

import report_builders as sample
from raft_chaos.invariants.history import Op
from raft_chaos.reports.run.layout import operation_ends
from raft_chaos.reports.run.model import RunReport, build
from raft_chaos.reports.run.pages import text_page


def test_operations_by_function_with_latencies_of_the_ok_ones(report: RunReport) -> None:
    get, put, every = report.operations
    assert (get.function, get.invoked, get.open, get.p50_us) == ("get", 1, 1, None)
    assert (put.invoked, put.ok, put.fail, put.info, put.open) == (52, 50, 1, 1, 0)
    assert (put.p50_us, put.p99_us, put.max_us) == (25_000, 50_000, 50_000)
    assert (every.function, every.invoked, every.ok) == ("all", 53, 50)


def test_an_operation_that_was_left_to_another_node_is_no_failure_of_the_system(tmp_path: Path) -> None:
    ends = [
        ("ok", None),
        ("fail", "not taken (status 503)"),
        ("fail", "redirected"),
        ("fail", "cannot connect: refused"),
    ]
    ops = [
        Op(type=type, process=number, client="c0", op=f"c0/{number}", f="get", key="k", t_us=number, error=error)  # type: ignore[arg-type]
        for number, (end, why) in enumerate(ends)
        for type, error in (("invoke", None), (end, why))
    ]
    report = build(sample.save(tmp_path / "run", sample.info(), ops=ops))
    assert [(row.fail, row.elsewhere) for row in report.operations] == [(3, 2), (3, 2)]
    assert operation_ends(report) == {"ok": 1, "fail": 1, "elsewhere": 2, "info": 0}
    page = text_page(report)
    assert "1 ok, 1 fail, 2 elsewhere, 0 info of 4" in page
    assert "get        4   1     1          2" in page
