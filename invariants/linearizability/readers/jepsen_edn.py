"""`edn`: Jepsen's history.edn, one map per line or all in one vector, for the models register and list-append.

    {:process 0, :type :invoke, :f :cas, :value [1 2], :time 3, :index 0}        a register
    {:process 0, :type :invoke, :f :write, :value ["x" 1], :time 3, :index 0}    several registers: [key value]
    {:process 0, :type :invoke, :f :txn, :value [[:append "x" 1]], :index 0}     lists

A register has :read, :write and :cas, and is initially nil. The invocation of a read may already have the value that it
will return, as in histories that Knossos completed; only the completion counts. The first operation shows whether the
file has several keys (jepsen.independent): then each value is [key value]. For lists, each operation is a transaction
of one part, an :append or a :r (whose nil may be missing in the invocation). :f may also name the part, or be missing.
Values are nil, integers, strings and keywords.

In Jepsen `:fail` says that an operation did not happen, but not why. So a failed cas says nothing about the register.
"""

from __future__ import annotations

from typing import Any

from raft_chaos.invariants.linearizability.operations import NOT_REPORTED, Function, Model
from raft_chaos.invariants.linearizability.readers.edn import shown
from raft_chaos.invariants.linearizability.readers.edn_events import NANOSECONDS, EdnEvents, Event, is_scalar
from raft_chaos.invariants.linearizability.readers.history_file import HistoryError, ReadHistory
from raft_chaos.invariants.linearizability.readers.pairing import Pairing

_REGISTER: dict[str, Function] = {"read": "read", "write": "write", "cas": "cas"}
_PARTS: dict[str, Function] = {"append": "append", "r": "read"}
_NAMES: dict[str, tuple[Function, ...]] = {
    "txn": ("append", "read"),
    "append": ("append",),
    "r": ("read",),
    "read": ("read",),
}
"""The values of :f for a transaction of one part, and the functions that the part may have."""


def read(file: str, raw: bytes, model: Model) -> ReadHistory:
    """The history in a file's content; `file` is its name in errors."""
    pairing = Pairing(file, NANOSECONDS, shown)
    events = EdnEvents(file, raw, pairing, "txn" if model == "list-append" else "")
    reader = _Lists(pairing) if model == "list-append" else _Registers(pairing)
    for event in events:
        if event.ending is None:
            reader.call(event)
        else:
            reader.end(event)
    return pairing.history(skipped=events.skipped)


class _Registers:
    """One register, or one for each key."""

    def __init__(self, pairing: Pairing) -> None:
        self._pairing = pairing
        self._keyed: bool | None = None

    def call(self, event: Event) -> None:
        f = self._function(event)
        if self._keyed is None:
            self._keyed = _has_key(f, event.value)
        key, value = self._taken_apart(event)
        new, expected = self._arguments(event, f, value)
        self._pairing.call(event.line, event.process, f, key, new, expected)

    def end(self, event: Event) -> None:
        f = self._function(event)
        assert event.ending is not None
        paired = self._pairing.end(event.line, event.process, f, event.ending)
        if event.ending != "ok":
            return  # the value may be anything, such as :timed-out
        key, value = self._taken_apart(event)
        if self._keyed:
            self._pairing.same(event.line, "key", key, paired, paired.key)
        if f == "read":
            paired.result = self._scalar(event, value)
        else:
            new, expected = self._arguments(event, f, value)
            self._pairing.same(event.line, "value", new, paired, paired.value)
            self._pairing.same(event.line, "expected value", expected, paired, paired.expected)

    def _function(self, event: Event) -> Function:
        f = _REGISTER.get(event.f)
        if f is None:
            raise self._pairing.error(
                event.line, f"unknown function :{event.f}; the model register has :read, :write and :cas"
            )
        return f

    def _taken_apart(self, event: Event) -> tuple[Any, Any]:
        if not self._keyed:
            return None, event.value
        if type(event.value) is not tuple or len(event.value) != 2 or not is_scalar(event.value[0]):
            raise self._wrong(event, "[key value], as in the first operation")
        return event.value[0], event.value[1]

    def _arguments(self, event: Event, f: Function, value: Any) -> tuple[Any, Any]:
        """The value to write, and the value that a cas expects."""
        if f == "read":
            return None, None
        if f == "write":
            return self._scalar(event, value), None
        if type(value) is not tuple or len(value) != 2:
            raise self._wrong(event, "[expected new] for a :cas")
        return self._scalar(event, value[1]), self._scalar(event, value[0])

    def _scalar(self, event: Event, value: Any) -> Any:
        if value is not None and not is_scalar(value):
            raise self._wrong(event, "nil, an integer, a string or a keyword")
        return value

    def _wrong(self, event: Event, expected: str) -> HistoryError:
        got = "none" if event.value is NOT_REPORTED else shown(event.value)
        return self._pairing.error(event.line, f"the :value of :{event.f}: expected {expected}, got {got}")


def _has_key(f: Function, value: Any) -> bool:
    """Whether the value is [key value]. A cas then has a pair within the pair."""
    inner = value[1] if f == "cas" and type(value) is tuple and len(value) == 2 else value
    return type(inner) is tuple


class _Lists:
    """A list for each key."""

    def __init__(self, pairing: Pairing) -> None:
        self._pairing = pairing

    def call(self, event: Event) -> None:
        f, key, value = self._part(event)
        self._pairing.call(event.line, event.process, f, key, None if f == "read" else value)

    def end(self, event: Event) -> None:
        assert event.ending is not None
        if event.ending != "ok":
            self._pairing.end(event.line, event.process, self._functions(event), event.ending)
            return  # the value may be anything
        f, key, value = self._part(event)
        paired = self._pairing.end(event.line, event.process, f, event.ending)
        self._pairing.same(event.line, "key", key, paired, paired.key)
        if f == "append":
            self._pairing.same(event.line, "value", value, paired, paired.value)
        elif value is not None and (type(value) is not tuple or not all(map(is_scalar, value))):
            raise self._wrong(event, "[[:r key [...]]] with integers, strings or keywords")
        else:
            paired.result = value or ()  # nil: nobody has appended anything

    def _functions(self, event: Event) -> tuple[Function, ...]:
        """The functions that an operation can have, according to its :f."""
        functions = _NAMES.get(event.f)
        if functions is None:
            raise self._pairing.error(
                event.line, f"unknown function :{event.f}; the model list-append has :txn, :append and :r"
            )
        return functions

    def _part(self, event: Event) -> tuple[Function, Any, Any]:
        """The one part of a transaction: its function, key and value."""
        functions = self._functions(event)
        parts = event.value
        if type(parts) is not tuple or not all(type(part) is tuple and len(part) in (2, 3) for part in parts):
            raise self._wrong(event, "[[:append key value]] or [[:r key nil]]")
        if len(parts) != 1:
            raise self._wrong(event, "a transaction of one part (this checker cannot judge several)")
        name, key, *rest = parts[0]
        f = _PARTS.get(getattr(name, "name", ""))
        if not rest and (f != "read" or event.ending is not None):
            raise self._wrong(event, "[[:append key value]] or [[:r key nil]]")
        value = rest[0] if rest else None
        if f is None or f not in functions or not is_scalar(key) or (f == "append" and not is_scalar(value)):
            raise self._wrong(event, "[[:append key value]] or [[:r key nil]], of integers, strings or keywords")
        return f, key, value

    def _wrong(self, event: Event, expected: str) -> HistoryError:
        got = "none" if event.value is NOT_REPORTED else shown(event.value)
        return self._pairing.error(event.line, f"the :value of :{event.f}: expected {expected}, got {got}")
