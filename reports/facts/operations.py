"""The clients' operations: how they ended, and the latency of those that succeeded."""

from __future__ import annotations

import math

import msgspec

from raft_chaos.invariants.history import Op, is_elsewhere


class OperationRow(msgspec.Struct, frozen=True, kw_only=True):
    """The operations of one function ("put"), or of all.

    `ok`, `fail` and `info` count how they ended; `elsewhere` counts those of the failed ones that no node took, and
    `open` those without an end in the history. Latencies are in
    µs from invocation to ok, by nearest rank; None if no operation was ok.
    """

    function: str
    invoked: int
    ok: int
    fail: int
    elsewhere: int
    info: int
    open: int
    p50_us: int | None
    p99_us: int | None
    max_us: int | None


ALL = "all"
"""The `function` of the row with the sums."""


class _Tally:
    def __init__(self) -> None:
        self.ends = {"invoke": 0, "ok": 0, "fail": 0, "info": 0}
        self.elsewhere = 0
        self.latencies_us: list[int] = []


def operation_rows(history: list[Op]) -> list[OperationRow]:
    """A row for each function in alphabetical order, then one for all; no row if the history is empty."""
    tallies: dict[str, _Tally] = {}
    invoked_us: dict[int, int] = {}
    for op in history:
        both = [tallies.setdefault(op.f, _Tally()), tallies.setdefault(ALL, _Tally())]
        for tally in both:
            tally.ends[op.type] += 1
            tally.elsewhere += is_elsewhere(op)
        if op.type == "invoke":
            invoked_us[op.process] = op.t_us
        elif op.type == "ok" and op.process in invoked_us:
            # A process has at most one open operation, so its number is enough to find the invocation.
            for tally in both:
                tally.latencies_us.append(op.t_us - invoked_us[op.process])
    functions = sorted(name for name in tallies if name != ALL)
    return [_row(name, tallies[name]) for name in [*functions, ALL] if name in tallies]


def _row(name: str, tally: _Tally) -> OperationRow:
    ok, fail, info = tally.ends["ok"], tally.ends["fail"], tally.ends["info"]
    latencies_us = sorted(tally.latencies_us)
    return OperationRow(
        function=name,
        invoked=tally.ends["invoke"],
        ok=ok,
        fail=fail,
        elsewhere=tally.elsewhere,
        info=info,
        open=max(0, tally.ends["invoke"] - ok - fail - info),
        p50_us=nearest_rank(latencies_us, 0.50),
        p99_us=nearest_rank(latencies_us, 0.99),
        max_us=latencies_us[-1] if latencies_us else None,
    )


def nearest_rank(ascending: list[int], quantile: float) -> int | None:
    """The smallest value such that at least this share of the values is not larger."""
    return ascending[math.ceil(quantile * len(ascending)) - 1] if ascending else None
