"""Measures many small histories one by one, and a few hard ones: `python -m bench.linearizability --small`.

The small ones are like the public histories of real systems: a register of five clients with many operations of unknown
outcome and cas whose refusals say nothing, and stores to which clients append. Each is measured for its verdict alone
and with its core and argument.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from statistics import median
from time import process_time

from tabulate import tabulate

from bench.linearizability_histories import Case, Maker
from raft_chaos.invariants.linearizability.check import check
from raft_chaos.invariants.linearizability.operations import Answer

REGISTER = Case("register", 80, 5, 1, 0.25, values=5, cas=1 / 3, reads=1 / 3, reported=False, lingers=3)
STORE = Case("kv-append", 1_000, 10, 10, reads=1 / 3, puts=0.1)
LONG_STORE = Case("kv-append", 8_000, 50, 10, reads=1 / 3)
HARD = Case("register", 10_000, 50, 1, values=5, cas=0.25)

KINDS: tuple[tuple[str, Case, int, int], ...] = (
    ("register, 80 operations of 5 clients, a quarter unknown", REGISTER, 96, 0),
    ("the same, reads and cas may be behind", REGISTER._replace(behind=0.04), 24, 0),
    ("the same, one stale read", REGISTER, 24, 1),
    ("store, 1,000 operations of 10 clients", STORE, 10, 0),
    ("the same, one stale read", STORE, 10, 1),
    ("store, 8,000 operations of 50 clients that append", LONG_STORE, 3, 0),
    ("the same, one stale read", LONG_STORE, 3, 1),
    ("register, 10,000 operations of 50 clients, a quarter cas", HARD, 6, 0),
    ("the same, one stale read", HARD, 6, 1),
)
"""The name of a row, the kind of its histories, how many of them, and whether each has one stale read."""

HEADERS = ("histories", "number", "valid, violated, unknown", "verdict, ms: median", "most", "sum", "with core: sum")


def table() -> str:
    rows = []
    for name, case, count, stale in KINDS:
        histories = [Maker(case, f"{case}/{number}").make(bool(stale)) for number in range(count)]
        verdicts = [check(history, case.model, explain=False).verdict for history in histories]
        alone = [_ms(partial(check, history, case.model, explain=False)) for history in histories]
        explained = [_ms(partial(check, history, case.model)) for history in histories]
        found = "/".join(str(verdicts.count(verdict)) for verdict in ("valid", "violated", "unknown"))
        figures = (median(alone), max(alone), sum(alone), sum(explained))
        rows.append([name, f"{count}", found, *(f"{ms:,.2f}" for ms in figures)])
    return tabulate(rows, headers=HEADERS, tablefmt="github", disable_numparse=True)


def _ms(work: Callable[[], Answer]) -> float:
    """The least CPU time of five runs, or of one if that takes more than 0.2 seconds, in ms."""
    best = float("inf")
    for _ in range(5):
        began = process_time()
        work()
        best = min(best, process_time() - began)
        if best > 0.2:
            break
    return best * 1e3
