"""Small random histories of each model, valid and violated, that cover nearly every kind of operation."""

from __future__ import annotations

from random import Random
from typing import Any

from brute_force import FIRST, apply
from raft_chaos.invariants.linearizability.operations import NOT_REPORTED, Function, Model, Operation

MODELS: tuple[Model, ...] = ("register", "kv", "kv-append", "list-append")
FUNCTIONS: dict[Model, list[Function]] = {
    "register": ["read", "write", "cas"],
    "kv": ["read", "write", "cas", "append", "delete"],
    "kv-append": ["read", "write", "append"],
    "list-append": ["read", "append"],
}


class Draw:
    """What one history is like: how long, how concurrent, how much of it unknown, repeated, unreported or wrong."""

    def __init__(self, random: Random, model: Model, most: int = 8) -> None:
        self.random, self.model = random, model
        self.size = random.randint(2, most)
        self.spans = random.choice([[1], [2], [4], [8], [0, 1, 20], [0, 2, 4, 20]])
        self.length = random.choice([4, 8, 16, 30])
        self.domain = random.choice([1, 2, 3, 100])
        self.unknown = random.choice([0, 0, 0.1, 0.3, 0.5])
        self.unreported = random.choice([0, 0.5, 1])
        self.wrong = random.choice([0, 0.2, 0.4, 0.8])
        self.moved = random.choice([0, 0.2, 0.5])
        self.endless = random.choice([0, 0.1])
        some = [f for f in FUNCTIONS[model] if random.random() < 0.8]
        self.functions: list[Function] = [*some, "read", "read"]
        self._values = 0

    def value(self) -> Any:
        self._values += 1
        value = self._values if self.domain == 100 else self.random.randint(1, self.domain)
        if self.model == "kv-append" and self.random.random() < 0.05:
            return self.random.choice(["", "a", "ab", "b"])
        return value if self.model in ("register", "list-append") else "abcdefghijklmnopqrstuvwxyz"[value % 26]

    def expected(self, state: Any) -> Any:
        reported = not isinstance(state, tuple) and self.random.random() < 0.6
        return state if reported else self.random.choice([None, self.value()])


def history(random: Random, model: Model, most: int = 8) -> list[Operation]:
    """At most `most` operations on one key: played in an order that is right, then some results made wrong."""
    draw = Draw(random, model, most)
    points = sorted(random.randint(0, draw.length) for _ in range(draw.size))
    state: Any = FIRST[model]
    states, operations = [state], []
    for number, point in enumerate(points):
        operation, state = _one(draw, number, point, state)
        states.append(state)
        operations.append(operation)
    spoilt = [_spoilt(draw, operation, states) for operation in operations]
    random.shuffle(spoilt)
    return spoilt


def _one(draw: Draw, number: int, point: int, state: Any) -> tuple[Operation, Any]:
    random = draw.random
    f = random.choice(draw.functions)
    expected = draw.expected(state) if f == "cas" else None
    called = point - random.randint(0, random.choice(draw.spans))
    returned = point + random.randint(0, random.choice(draw.spans))
    value = draw.value() if f in ("write", "cas", "append") else None
    after, result, happened = apply(draw.model, state, f, value, expected)
    status, reported = "ok", None
    if random.random() < draw.unknown:
        status = "unknown"
        after = after if random.random() < 0.5 else state
    elif f == "read":
        reported = plain(result)
    elif not happened:
        status, reported = "refused", NOT_REPORTED if random.random() < draw.unreported else plain(result)
    ends = None if status == "unknown" or random.random() < draw.endless else returned
    operation = Operation(number, "k", f, called, ends, value, expected, reported, status)  # type: ignore[arg-type]
    return operation, after


def _spoilt(draw: Draw, operation: Operation, states: list[Any]) -> Operation:
    """The operation, perhaps moved in time or with a wrong result, most often one that is right at another time."""
    reported, status = operation.result, operation.status
    if status != "unknown" and draw.random.random() < draw.wrong:
        if operation.f == "read" or (status == "refused" and reported is not NOT_REPORTED):
            reported = plain(draw.random.choice(states))
        elif operation.f == "cas":
            status, reported = ("ok", None) if status == "refused" else ("refused", NOT_REPORTED)
    late = draw.random.randint(-draw.length, draw.length) if draw.random.random() < draw.moved else 0
    returned = operation.returned + late if operation.returned is not None else None
    o = operation
    return Operation(o.number, o.key, o.f, o.called + late, returned, o.value, o.expected, reported, status)


def plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def features(operations: list[Operation]) -> set[str]:
    """The features of a history that make it hard to judge."""
    found = set()
    times = [operation.called for operation in operations]
    times += [operation.returned for operation in operations if operation.returned is not None]
    if len(set(times)) < len(times):
        found.add("equal times")
    values = [operation.value for operation in operations if operation.f in ("write", "cas", "append")]
    if len(set(values)) < len(values):
        found.add("repeated")
    for operation in operations:
        if operation.status == "unknown":
            found.add("unknown")
        if operation.status == "refused":
            found.add("refused, unreported" if operation.result is NOT_REPORTED else "refused, reported")
        if operation.f == "delete":
            found.add("delete")
    return found


def honest(random: Random, model: Model, most: int = 22) -> list[Operation]:
    """A valid history that is too long for brute force: operations of very different lengths, few values, all results
    from one order. It detects a search that leaves out an order."""
    spans = _spans(random, random.randint(6, most))
    functions = [f for f in FUNCTIONS[model] if random.random() < 0.8]
    functions += ["read", random.choice([*functions, "read"])]
    domain, unknown = random.choice(["ab", "abc"]), random.choice([0, 0, 0.2])
    state: Any = FIRST[model]
    operations = []
    for number in _some_order(random, spans):
        called, returned = spans[number]
        f = random.choice(functions)
        value = random.choice(domain) if f in ("write", "cas", "append") else None
        known = random.random() >= unknown or f == "read"
        own = random.random() < 0.7 and not isinstance(state, tuple)
        expected = (state if own else random.choice(domain)) if f == "cas" else None
        after, result, happened = apply(model, state, f, value, expected)
        reported, status = (plain(result), "ok") if f == "read" else (None, "ok")
        if not known:
            status, happened = "unknown", random.random() < 0.6
        elif not happened:
            status, reported = "refused", NOT_REPORTED if random.random() < 0.5 else plain(result)
        state = after if happened else state
        ends = returned if known else None
        operations.append(Operation(number, "k", f, called, ends, value, expected, reported, status))  # type: ignore[arg-type]
    return operations


def _spans(random: Random, size: int) -> list[tuple[int, int]]:
    """Calls and returns in a random order, at most a few operations open at a time."""
    clients = random.randint(2, size)
    began: list[int] = []
    ended: dict[int, int] = {}
    is_open: list[int] = []
    moment = 0
    while len(ended) < size:
        moment += 1
        if len(began) < size and len(is_open) < clients and (not is_open or random.random() < 0.5):
            is_open.append(len(began))
            began.append(moment)
        else:
            ended[is_open.pop(random.randrange(len(is_open)))] = moment
    return [(begin, ended[number]) for number, begin in enumerate(began)]


def _some_order(random: Random, spans: list[tuple[int, int]]) -> list[int]:
    """Any order that respects real time."""
    left = list(range(len(spans)))
    order = []
    while left:
        first_return = min(spans[number][1] for number in left)
        order.append(random.choice([number for number in left if spans[number][0] <= first_return]))
        left.remove(order[-1])
    return order
