"""The linearizability checker on synthetic histories, and beside brute force: `python -m bench.linearizability`.

A history is made by clients that take turns in virtual time: each operation takes effect at a point drawn between its
call and its return, so the history is valid; one read made to return an older value may make it violated. `--full`
takes the sizes of docs/linearizability.md, `--fuzz N` compares N small histories of each model with brute force, and
searches N/4 longer ones that are known to be valid.
"""

from __future__ import annotations

import argparse
import heapq
import importlib
import platform
import resource
import sys
from collections import Counter
from pathlib import Path
from random import Random
from time import process_time
from typing import Any, NamedTuple

import msgspec
from tabulate import tabulate

from invariants.linearizability.check import check
from invariants.linearizability.operations import Answer, Model, Operation
from invariants.linearizability.order import first_fault

ORACLE = Path(__file__).parent.parent / "tests" / "invariants"
MODELS: tuple[Model, ...] = ("register", "kv", "kv-append", "list-append")


class Case(NamedTuple):
    """`values`: how many different ones are written, None for each its own. `cas`: this share of the operations."""

    model: Model
    operations: int
    clients: int
    keys: int
    unknown: float = 0.0
    values: int | None = None
    cas: float = 0.0
    reads: float = 0.5


def quick_cases() -> list[Case]:
    return [
        Case("register", 1_000, 10, 1),
        Case("register", 10_000, 50, 10),
        Case("register", 3_000, 10, 1, unknown=0.5),
        Case("register", 1_000, 10, 1, values=5),
        Case("list-append", 1_000, 10, 1, reads=0.1),
    ]


def full_cases() -> list[Case]:
    cases = [Case("register", n, c, 1 if n < 100_000 else 100) for n in (1_000, 10_000, 100_000) for c in (10, 50)]
    cases += [Case("register", 1_000_000, 50, 1_000)]
    cases += [Case("register", 100_000, 50, 1_000, unknown=share) for share in (0.01, 0.1, 0.5)]
    cases += [Case("register", 3_000, c, 1, unknown=share) for share in (0.1, 0.5) for c in (10, 50)]
    cases += [Case("register", 10_000, c, 1, values=5) for c in (10, 50)]
    cases += [Case("register", 100_000, 10, 100, values=5)]
    cases += [Case("register", 3_000, 10, 1, unknown=share, values=5) for share in (0.01, 0.1, 0.5)]
    cases += [Case("register", 10_000, 10, 1, values=5, cas=0.25)]
    cases += [Case("register", 1_000, c, 1, unknown=0.1, values=5, cas=0.25) for c in (10, 50)]
    cases += [Case(model, 10_000, 10, 1, reads=0.1) for model in ("list-append", "kv-append", "kv")]
    return cases


class Maker:
    """Plays a case's operations in the order of their points."""

    def __init__(self, case: Case, seed: str) -> None:
        self.case = case
        self.random = Random(seed)
        self.states: dict[int, Any] = {}
        self.written = 0

    def make(self, stale: bool) -> list[Operation]:
        operations = [self._operation(*turn) for turn in self._turns()]
        return self._made_stale(operations) if stale else operations

    def _turns(self) -> list[tuple[int, int, int, int | None, int]]:
        """(point, number, call, return, client) of each operation, by their points."""
        random, case = self.random, self.case
        free = [(random.randint(0, 100), client) for client in range(case.clients)]
        heapq.heapify(free)
        turns = []
        for number in range(case.operations):
            called, client = heapq.heappop(free)
            lasted = random.randint(50, 150)
            known = random.random() >= case.unknown
            turns.append(
                (called + random.randint(1, lasted), number, called, called + lasted if known else None, client)
            )
            heapq.heappush(free, (called + lasted + random.randint(1, 10), client))
        return sorted(turns)

    def _operation(self, point: int, number: int, called: int, returned: int | None, client: int) -> Operation:
        random, case = self.random, self.case
        key, drawn, known = random.randrange(case.keys), random.random(), returned is not None
        state = self.states.get(key, self._first())
        if drawn < case.reads:
            told = list(state) if isinstance(state, list) else state
            return Operation(
                number, key, "read", called, returned, None, None, told, "ok" if known else "unknown", client
            )
        value = self._value()
        f = "append" if case.model != "register" else "cas" if drawn < case.reads + case.cas else "write"
        expected = (state if random.random() < 0.5 else random.randrange(case.values or 5)) if f == "cas" else None
        happens = (known or random.random() < 0.5) and (f != "cas" or expected == state)
        empty: Any = "" if case.model == "kv-append" else []
        if happens:
            self.states[key] = value if f != "append" else (state or empty) + value
        if f == "append" and case.model != "kv-append":
            value = value[0]
        if known and not happens:
            return Operation(number, key, f, called, returned, value, expected, state, "refused", client)  # type: ignore[arg-type]
        status = "ok" if known else "unknown"
        return Operation(number, key, f, called, returned, value, expected, None, status, client)  # type: ignore[arg-type]

    def _first(self) -> Any:
        return {"kv-append": "", "list-append": []}.get(self.case.model)

    def _value(self) -> Any:
        self.written += 1
        value = self.written if self.case.values is None else self.random.randrange(self.case.values)
        match self.case.model:
            case "register":
                return value
            case "kv-append":
                return f"{value},"
            case "kv":
                return [str(value)]
            case _:
                return [value]

    def _made_stale(self, operations: list[Operation]) -> list[Operation]:
        """One read at two thirds of the history returns what was read long before, or, as few values come back all the
        time, the first value."""
        reads: dict[int, list[int]] = {}
        for place, operation in enumerate(operations):
            if operation.f == "read" and operation.status == "ok":
                reads.setdefault(operation.key, []).append(place)  # type: ignore[arg-type]
        own = max(reads.values(), key=len)
        at = own[len(own) * 2 // 3]
        read = operations[at]
        if self.case.values is not None:
            operations[at] = msgspec.structs.replace(read, result=None)
            return operations
        for place in reversed(own[: own.index(at)]):
            old = operations[place]
            assert old.returned is not None
            if old.returned < read.called - 300 and old.result != read.result:
                operations[at] = msgspec.structs.replace(read, result=old.result)
                break
        return operations


def measure(case: Case, stale: bool) -> list[Any]:
    """A row: the best of three (of one, where it takes long)."""
    operations = Maker(case, f"{case}").make(stale)
    spent, answer = _timed(operations, case.model)
    if spent < 1:
        spent = min(spent, *(_timed(operations, case.model)[0] for _ in range(2)))
    replay = _replay(operations, case.model)  # with unknown operations it is not known which ones to play
    per_operation = spent / len(operations) * 1e6
    return [
        case.model,
        f"{case.operations:,}",
        case.clients,
        f"{case.keys:,}",
        f"{case.unknown:.0%}",
        "own" if case.values is None else case.values,
        f"{case.cas:.0%}",
        "one stale read" if stale else "none",
        answer.verdict + (f", core of {len(answer.core)}" if answer.core else ""),
        f"{spent * 1e3:,.1f}",
        f"{per_operation:,.2f}",
        "" if case.unknown else f"{replay / len(operations) * 1e6:.2f}",
        f"{answer.steps:,}",
    ]


HEADERS = (
    "model", "operations", "clients", "keys", "unknown", "values", "cas", "mistake", "answer", "ms", "µs/operation",
    "replay alone, µs/operation", "steps of search",
)  # fmt: skip


def _timed(operations: list[Operation], model: Model) -> tuple[float, Answer]:
    began = process_time()
    answer = check(operations, model)
    return process_time() - began, answer


def _replay(operations: list[Operation], model: Model) -> float:
    """What playing the history once in the order of its points costs: no checker can do with less."""
    certain = [operation for operation in operations if operation.status != "unknown"]
    began = process_time()
    first_fault(certain, certain, model)
    return process_time() - began


def fuzz(count: int, seed: str, most: int = 8) -> bool:
    """Compares with brute force, witnesses and cores too, and prints what was seen; False at the first difference."""
    sys.path.insert(0, str(ORACLE))
    brute, small = importlib.import_module("brute_force"), importlib.import_module("small_histories")
    agreement = importlib.import_module("linearizability_agreement")
    rows = []
    for model in MODELS:
        for number in range(count // 4):
            operations = small.honest(Random(f"{seed}/honest/{model}/{number}"), model)
            difference = agreement.searches_differ(operations, model, True)
            if difference:
                print(f"{model}, seed {seed}, valid history {number}: {difference}", *operations, sep="\n")
                return False
        seen: Counter[str] = Counter()
        for number in range(count):
            operations = small.history(Random(f"{seed}/{model}/{number}"), model, most)
            valid = brute.linearizable(operations, model)
            difference = agreement.difference(operations, model, valid)
            if difference:
                print(f"{model}, seed {seed}, history {number}: {difference}", *operations, sep="\n")
                return False
            seen.update(small.features(operations))
            seen["valid" if valid else "violated"] += 1
        rows.append([model, f"{count:,}", *(f"{seen[name] / count:.1%}" for name in FEATURES)])
    print(tabulate(rows, headers=["model", "histories", *FEATURES], tablefmt="github", disable_numparse=True))
    return True


FEATURES = ("valid", "violated", "unknown", "refused, told", "refused, untold", "repeated", "delete", "equal times")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.linearizability", description=__doc__.splitlines()[0])
    parser.add_argument("--full", action="store_true", help="the table of docs/linearizability.md")
    parser.add_argument(
        "--fuzz", type=int, metavar="N", help="compare N small histories of each model with brute force"
    )
    parser.add_argument("--size", type=int, default=8, help="with --fuzz: operations in a history, at most")
    parser.add_argument("--seed", default="1")
    arguments = parser.parse_args()
    if arguments.fuzz:
        sys.exit(0 if fuzz(arguments.fuzz, arguments.seed, arguments.size) else 1)
    print(f"{platform.python_implementation()} {platform.python_version()}, {platform.system()} {platform.machine()}\n")
    rows = []
    for case in full_cases() if arguments.full else quick_cases():
        for stale in (False, True):
            rows.append(measure(case, stale))
    print(tabulate(rows, headers=HEADERS, tablefmt="github", disable_numparse=True))
    print(f"\npeak memory of all of it: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MB")


if __name__ == "__main__":
    main()
