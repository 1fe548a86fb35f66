"""Synthetic histories: clients take turns in virtual time. Each operation takes effect at a point drawn between its
call and its return, so the history is valid. One read that returns an older value may make it violated."""

from __future__ import annotations

import heapq
from random import Random
from typing import Any, NamedTuple

import msgspec

from raft_chaos.invariants.linearizability.operations import NOT_REPORTED, Model, Operation


class Case(NamedTuple):
    """`values`: how many different values are written; None: each write has its own. `cas` and `puts` (writes of
    strings that others append to): their shares of operations. `reported`: whether a refused cas says what it found.
    `lingers`: within how many times its duration an operation of unknown outcome takes effect. `behind`: the share of
    reads and cas that see one of the last states instead of the present one, which makes a violation likely."""

    model: Model
    operations: int
    clients: int
    keys: int
    unknown: float = 0.0
    values: int | None = None
    cas: float = 0.0
    reads: float = 0.5
    puts: float = 0.0
    reported: bool = True
    lingers: int = 1
    behind: float = 0.0


class Maker:
    """Plays a case's operations in the order of their points."""

    def __init__(self, case: Case, seed: str) -> None:
        self.case = case
        self.random = Random(seed)
        self.states: dict[int, Any] = {}
        self.earlier: dict[int, list[Any]] = {}
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
            reach = 1 if known else case.lingers
            turns.append(
                (called + random.randint(1, lasted * reach), number, called, called + lasted if known else None, client)
            )
            heapq.heappush(free, (called + lasted + random.randint(1, 10), client))
        return sorted(turns)

    def _operation(self, point: int, number: int, called: int, returned: int | None, client: int) -> Operation:
        random, case = self.random, self.case
        key, drawn, known = random.randrange(case.keys), random.random(), returned is not None
        state = self.states.get(key, self._first())
        if case.behind and random.random() < case.behind:
            state = random.choice(self.earlier.get(key, [self._first()])[-5:])
        if drawn < case.reads:
            reported = list(state) if isinstance(state, list) else state
            return Operation(
                number, key, "read", called, returned, None, None, reported, "ok" if known else "unknown", client
            )
        value = self._value()
        f = "append" if case.model != "register" else "cas" if drawn < case.reads + case.cas else "write"
        if drawn >= 1 - case.puts:
            f = "write"
        expected = (state if random.random() < 0.5 else random.randrange(case.values or 5)) if f == "cas" else None
        happens = (known or random.random() < 0.5) and (f != "cas" or expected == state)
        empty: Any = "" if case.model == "kv-append" else []
        if happens:
            self.states[key] = value if f != "append" else (state or empty) + value
            if case.behind:
                self.earlier.setdefault(key, [self._first()]).append(self.states[key])
        if f == "append" and case.model != "kv-append":
            value = value[0]
        if known and not happens:
            found = state if case.reported else NOT_REPORTED
            return Operation(number, key, f, called, returned, value, expected, found, "refused", client)  # type: ignore[arg-type]
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
        """One read at two thirds of the history returns what was read long before, or the first value, if there are
        only a few values, which repeat."""
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
