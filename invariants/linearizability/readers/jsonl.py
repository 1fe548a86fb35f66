"""`jsonl`: the history of a run (`invariants.history.Op`, one JSON object per line), for the model kv.

    {"type":"invoke","process":0,"client":"c0","op":"c0/1","f":"put","key":"x","t_us":1000,"value":"a"}
    {"type":"ok","process":0,"client":"c0","op":"c0/1","f":"put","key":"x","t_us":1500,"index":7,"term":1}

Times are in microseconds; operations with equal times overlap. A cas or an append that a node refused (it has an
`index`) carries the value that it found in `value`.

Stale reads promise nothing that a linearization could show, so they are left out and counted: a run judges them by
themselves (`invariants.checkers.stale_reads`).

A last line that was torn by a kill is left out. If it was a completion, its operation stays open; if it was an
invocation, nothing shows that operation.
"""

from __future__ import annotations

from codecs import BOM_UTF8
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from raft_chaos.invariants.events import MALFORMED
from raft_chaos.invariants.history import QUEUE_FUNCTIONS, Op, OpFunction, Value, decode
from raft_chaos.invariants.linearizability.operations import Function, Model
from raft_chaos.invariants.linearizability.readers.event_order import Unit
from raft_chaos.invariants.linearizability.readers.history_file import HistoryError, ReadHistory, shown
from raft_chaos.invariants.linearizability.readers.pairing import Paired, Pairing

MICROSECONDS = Unit("us", 1_000_000)

_A_LINE = "a line of history.jsonl"
_EXPECTED = {
    "f": "get, put, append, cas or delete",  # enqueue and dequeue are judged in a run
    "type": "invoke, ok, fail or info",
    "key": "a string",
    "value": "a string, a list of strings, or null for an absent key",
}
"""What a field should hold, where its type alone is not a clear error message."""

_FUNCTIONS: dict[OpFunction, Function] = {
    "get": "read",
    "put": "write",
    "append": "append",
    "cas": "cas",
    "delete": "delete",
    "enqueue": "enqueue",
    "dequeue": "dequeue",
}


def read(file: str, raw: bytes, model: Model) -> ReadHistory:
    """The history in a file's content; `file` is its name in errors."""
    rows = raw.removeprefix(BOM_UTF8).split(b"\n")
    torn, stale = False, 0

    def ops() -> Iterator[tuple[int, Op]]:
        nonlocal torn, stale
        for number, row in enumerate(rows, 1):
            if not row or row.isspace():
                continue
            try:
                op = decode(row)
            except MALFORMED as error:
                # A torn object is invalid JSON. A complete object of the wrong kind was not torn.
                if number == len(rows) and not isinstance(error, msgspec.ValidationError):
                    torn = True
                    return
                expected = next((what for field, what in _EXPECTED.items() if f"`$.{field}`" in str(error)), _A_LINE)
                raise HistoryError(file, number, f"{error}; expected {expected}") from None
            if op.f in QUEUE_FUNCTIONS:
                raise HistoryError(file, number, f"a {op.f}, which no model has; expected {_EXPECTED['f']}")
            if op.consistency == "stale":
                stale += op.type == "invoke"
                continue
            yield number, op

    history = history_of(file, ops())
    return msgspec.structs.replace(history, torn=torn, stale=stale)


def history_of(file: str, ops: Iterable[tuple[int, Op]]) -> ReadHistory:
    """The history in the numbered lines of a file. Raises HistoryError for a line that contradicts those before it."""
    pairing = Pairing(file, MICROSECONDS)
    for number, op in ops:
        _take(pairing, number, op)
    return pairing.history()


def _take(pairing: Pairing, number: int, op: Op) -> None:
    pairing.on_time(number, op.t_us)
    if op.type == "invoke":
        _check_call(pairing, number, op)
        paired = pairing.call(number, op.process, _FUNCTIONS[op.f], op.key, op.value, op.expected)
        paired.label = op.op
    else:
        paired = pairing.end(number, op.process, _FUNCTIONS[op.f], op.type)
        pairing.same(number, "key", op.key, paired, paired.key)
        pairing.same(number, "op", op.op, paired, paired.label)
        if op.type == "ok" and op.f not in ("get", "dequeue") and op.value is not None:
            pairing.same(number, "value", op.value, paired, paired.value)
        _ended(paired, op)


def _check_call(pairing: Pairing, line: int, op: Op) -> None:
    """Raises HistoryError for an invocation with a wrong value."""
    if op.f in ("get", "delete", "dequeue"):
        if op.value is not None:
            raise pairing.error(line, f"a {op.f} takes no value, got {shown(op.value)}")
    elif not isinstance(op.value, str):
        raise pairing.error(line, f"the value of a {op.f}: expected a string, got {shown(op.value)}")
    if op.expected is not None and (op.f != "cas" or not isinstance(op.expected, str)):
        wanted = "a string, or null for an absent key" if op.f == "cas" else "none, which only a cas has"
        raise pairing.error(line, f"`expected` of a {op.f}: expected {wanted}, got {shown(op.expected)}")


def _ended(paired: Paired, op: Op) -> None:
    paired.index = op.index
    if op.type == "ok" and op.f == "get":
        paired.result = _held(op.value)
    elif op.type == "fail" and _tells(op):
        paired.status = "refused"
        paired.result = _held(op.value)


def _tells(op: Op) -> bool:
    """Whether a failed operation reports what it found.

    Only an operation that the log decided has an index. A serial that is too old (§8) is refused without reading the
    key. An append is refused because of the value there, so a refusal without a value reports nothing.
    """
    if op.index is None or (op.error or "").startswith("serial "):
        return False
    return op.f == "cas" or (op.f == "append" and op.value is not None)


def _held(value: Value) -> Any:
    return tuple(value) if isinstance(value, list) else value
