"""Measures the linearizability checker: `python -m bench.linearizability`.

`--full` uses the sizes of docs/linearizability-figures.md, and `--memory` measures the memory for each operation.
`--small` measures small histories one by one. `--fuzz N` compares N small histories of each model with brute force, as
operations and as columns, and checks N/4 longer ones that are known to be valid.
"""

from __future__ import annotations

import argparse
import platform
import sys
import tracemalloc
from collections.abc import Callable
from time import process_time

import msgspec
from tabulate import tabulate

from bench.linearizability_fuzz import MODELS_OF_COLUMNS, fuzz, oracle
from bench.linearizability_histories import Case, Maker
from bench.linearizability_small import table
from raft_chaos.invariants.linearizability.check import check
from raft_chaos.invariants.linearizability.columns import Columns, check_columns
from raft_chaos.invariants.linearizability.operations import Answer, Model, Operation
from raft_chaos.invariants.linearizability.order import first_fault


def quick_cases() -> list[Case]:
    return [
        Case("register", 1_000, 10, 1),
        Case("register", 10_000, 50, 10),
        Case("register", 3_000, 10, 1, unknown=0.5),
        Case("register", 1_000, 10, 1, values=5),
        Case("list-append", 1_000, 10, 1, reads=0.1),
    ]


def full_cases() -> list[Case]:
    """Each dimension varied, around 10,000 operations of 10 clients on one key."""
    cases = [Case("register", n, c, 1) for n in (1_000, 10_000, 100_000, 1_000_000) for c in (10, 50)]
    cases += [Case("register", n, 50, k) for n in (100_000, 1_000_000) for k in (100, 1_000)]
    cases += [Case("register", 10_000, 50, 1, unknown=share) for share in (0.01, 0.1, 0.5)]
    cases += [Case("register", 1_000_000, 50, 1_000, unknown=share) for share in (0.01, 0.1, 0.5)]
    cases += [Case("register", 1_000, c, 1, values=5) for c in (10, 50)]
    cases += [Case("register", 10_000, c, 1, values=5) for c in (10, 50)]
    cases += [Case("register", 100_000, 10, 100, values=5), Case("register", 1_000_000, 10, 1_000, values=5)]
    cases += [Case("register", 10_000, 10, 1, unknown=share, values=5) for share in (0.01, 0.1, 0.5)]
    cases += [Case("register", 10_000, 10, 1, values=5, cas=0.25)]
    cases += [Case("register", 1_000, c, 1, unknown=0.1, values=5, cas=0.25) for c in (10, 50)]
    cases += [Case(model, 10_000, 10, 1, reads=0.1) for model in ("list-append", "kv-append", "kv")]
    return cases


def measure(case: Case) -> list[str]:
    """A row: the valid history, and the one with a mistake."""
    valid, stale = (Maker(case, f"{case}").make(mistake) for mistake in (False, True))
    spent, answer = _best(lambda: check(valid, case.model))
    spent_on_stale, violated = _best(lambda: check(stale, case.model))
    replay = f"{_replay(valid, case.model) / case.operations * 1e6:.2f}"
    return [
        case.model,
        f"{case.operations:,}",
        f"{case.clients}",
        f"{case.keys:,}",
        f"{case.unknown:.0%}",
        "own" if case.values is None else f"{case.values}",
        f"{case.cas:.0%}",
        _micros(spent, answer, case, "valid"),
        _from_columns(valid, case, "valid"),
        "" if case.unknown else replay,  # it is unknown which of the unknown operations to play
        f"{answer.steps:,}",
        _micros(spent_on_stale, violated, case, "violated"),
        _from_columns(stale, case, "violated"),
        f"{len(violated.core)}",
    ]


HEADERS: tuple[str, ...] = (
    "model", "operations", "clients", "keys", "unknown", "values", "cas", "valid, µs", "from columns, µs",
    "replay alone, µs", "steps", "one stale read, µs", "from columns, µs", "core",
)  # fmt: skip


def _from_columns(operations: list[Operation], case: Case, verdict: str) -> str:
    """The time from arrays, including the validation; empty for a model without columns."""
    if case.model not in MODELS_OF_COLUMNS or not oracle("columns_agreement").expressible(operations):
        return ""
    arrays = msgspec.structs.asdict(oracle("columns_agreement").as_columns(operations))
    return _micros(*_best(lambda: check_columns(Columns(**arrays), case.model)), case, verdict)


def _micros(spent: float, answer: Answer, case: Case, expected: str) -> str:
    """The cost of an operation, and the answer if it is not the expected one."""
    reported = f"{spent / case.operations * 1e6:.2f}"
    return reported if answer.verdict == expected else f"{reported} ({answer.verdict})"


def _best(work: Callable[[], Answer]) -> tuple[float, Answer]:
    """The least CPU time of five runs, or of as many as fit into five seconds."""
    best, began = float("inf"), process_time()
    for _ in range(5):
        start = process_time()
        answer = work()
        best = min(best, process_time() - start)
        if process_time() - began > 5:
            break
    return best, answer


def _replay(operations: list[Operation], model: Model) -> float:
    """The cost of playing the history once in the order of its points, which is the least cost of any checker."""
    certain = [operation for operation in operations if operation.status != "unknown"]
    began = process_time()
    first_fault(certain, certain, model)
    return process_time() - began


def memory(case: Case) -> list[str]:
    """A row: bytes per operation, measured with `tracemalloc`: of the history, and the maximum while it is judged."""
    tracemalloc.start()
    operations = Maker(case, f"{case}").make(False)
    held = tracemalloc.get_traced_memory()[0]
    as_operations = held, _peak_above(held, lambda: check(operations, case.model))
    columns = oracle("columns_agreement").as_columns(operations)
    both = tracemalloc.get_traced_memory()[0]
    as_columns = both - held, _peak_above(both, lambda: check_columns(columns, case.model))
    tracemalloc.stop()
    reported = (f"{size / case.operations:,.0f}" for size in (*as_operations, *as_columns))
    return [f"{case.operations:,}", f"{case.keys:,}", *reported]


def _peak_above(held: int, work: Callable[[], Answer]) -> int:
    tracemalloc.reset_peak()
    work()
    return tracemalloc.get_traced_memory()[1] - held


MEMORY_HEADERS: tuple[str, ...] = (
    "operations", "keys", "operations, bytes", "check, bytes", "columns, bytes", "check_columns, bytes",
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.linearizability", description=__doc__.splitlines()[0])
    parser.add_argument("--full", action="store_true", help="the table of docs/linearizability-figures.md")
    parser.add_argument("--small", action="store_true", help="small histories one by one, and a few hard ones")
    parser.add_argument("--memory", action="store_true", help="what an operation takes of it")
    parser.add_argument(
        "--fuzz", type=int, metavar="N", help="compare N small histories of each model with brute force"
    )
    parser.add_argument("--size", type=int, default=8, help="with --fuzz: operations in a history, at most")
    parser.add_argument("--seed", default="1")
    arguments = parser.parse_args()
    if arguments.fuzz:
        sys.exit(0 if fuzz(arguments.fuzz, arguments.seed, arguments.size) else 1)
    print(f"{platform.python_implementation()} {platform.python_version()}, {platform.system()} {platform.machine()}\n")
    if arguments.small:
        print(table())
        return
    if arguments.memory:
        cases = [Case("register", n, 50, n // 1_000) for n in (10_000, 100_000, 1_000_000)]
        headers, rows = MEMORY_HEADERS, [memory(case) for case in cases]
    else:
        headers, rows = HEADERS, [measure(case) for case in (full_cases() if arguments.full else quick_cases())]
    print(tabulate(rows, headers=headers, tablefmt="github", disable_numparse=True))


if __name__ == "__main__":
    main()
