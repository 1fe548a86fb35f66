"""The lines of a history in EDN: maps with :process, :type and :f, in the order in which things happened.

Only processes that are numbers are clients; the nemesis and others are skipped. If an :index is given, it is the order
and must increase from line to line. If only a :time is given (in nanoseconds), it must not go back by more than 10 ms:
Jepsen's threads read the clock before they wait for their turn to write.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from raft_chaos.invariants.linearizability.operations import NOT_REPORTED
from raft_chaos.invariants.linearizability.readers.edn import Keyword, Tagged, forms, keyword, shown
from raft_chaos.invariants.linearizability.readers.event_order import Unit
from raft_chaos.invariants.linearizability.readers.history_file import HistoryError, decoded
from raft_chaos.invariants.linearizability.readers.pairing import Ending, Pairing

PROCESS, TYPE, F, KEY, VALUE, TIME, INDEX = map(keyword, ("process", "type", "f", "key", "value", "time", "index"))
INVOKE, OK, FAIL, INFO = map(keyword, ("invoke", "ok", "fail", "info"))

_OP_TAG = "jepsen.history.Op"
_ENDINGS: dict[Keyword, Ending] = {OK: "ok", FAIL: "fail", INFO: "info"}


NANOSECONDS = Unit("ns (:time)", 1_000_000_000, slip=10_000_000)


class Event(NamedTuple):
    """One line of a client. `ending` is None for an invocation. `value` is NOT_REPORTED if the map has none."""

    line: int
    process: int
    ending: Ending | None
    f: str
    key: Any
    value: Any


class EdnEvents:
    """Iterates over the events of clients in a file's content. `skipped` counts the maps of other processes so far.
    `default_f` is the function of a map without :f ("": every map must have one)."""

    def __init__(self, file: str, raw: bytes, pairing: Pairing, default_f: str = "") -> None:
        self._default_f = default_f
        self.skipped = 0
        self._file = file
        self._text = decoded(file, raw)
        self._pairing = pairing
        self._index: int | None = None

    def __iter__(self) -> Iterator[Event]:
        for line, form in forms(self._file, self._text):
            if type(form) is Tagged and form.tag == _OP_TAG:
                form = form.value
            if type(form) is not dict:
                raise HistoryError(self._file, line, f"expected a map such as {{:process 0, ...}}, got {shown(form)}")
            process = form.get(PROCESS, NOT_REPORTED)
            if process is NOT_REPORTED:
                raise HistoryError(self._file, line, f"a map without :process: {shown(form)}")
            self._in_order(line, form)
            if type(process) is int:
                yield self._event(line, process, form)
            else:
                self.skipped += 1

    def _event(self, line: int, process: int, form: dict[Any, Any]) -> Event:
        kind, f = form.get(TYPE), form.get(F)
        ending = _ENDINGS.get(kind) if isinstance(kind, Keyword) else None
        if ending is None and kind is not INVOKE:
            raise HistoryError(self._file, line, f"the :type: expected :invoke, :ok, :fail or :info, got {shown(kind)}")
        if not isinstance(f, Keyword) and not (f is None and self._default_f):
            raise HistoryError(self._file, line, f"the :f: expected a function such as :read, got {shown(f)}")
        return Event(
            line,
            process,
            ending,
            f.name if f else self._default_f,
            form.get(KEY, NOT_REPORTED),
            form.get(VALUE, NOT_REPORTED),
        )

    def _in_order(self, line: int, form: dict[Any, Any]) -> None:
        index, time = form.get(INDEX), form.get(TIME)
        for name, value in ((":index", index), (":time", time)):
            if value is not None and type(value) is not int:
                raise HistoryError(self._file, line, f"the {name}: expected an integer, got {shown(value)}")
        if index is not None:
            if self._index is not None and index <= self._index:
                raise HistoryError(
                    self._file, line, f":index {index} comes after {self._index}; expected lines in their order"
                )
            self._index = index
        self._pairing.on_time(line, time, ordered=index is not None)


def is_scalar(value: Any) -> bool:
    """Whether Python and Clojure agree on equality with it. In Python 1 equals 1.0 and True, in Clojure it does not."""
    return type(value) in (int, str, Keyword)
