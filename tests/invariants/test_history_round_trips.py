"""Random histories that are written in each format and read again give the same operations in the same lines."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raft_chaos.invariants.linearizability.operations import NOT_REPORTED, Function, Model, Operation
from raft_chaos.invariants.linearizability.readers.formats import READERS, Format, guess
from raft_chaos.invariants.linearizability.readers.history_file import HistoryError


class Event(NamedTuple):
    """One call or return. `reported` is what a read returned or a refused operation found."""

    process: int
    kind: str
    f: Function
    key: Any
    value: Any = None
    expected: Any = None
    reported: Any = None
    line: int = 0


class Shape(NamedTuple):
    """What a format can say. `refusals`: which refused operations tell something, and whether what they found."""

    form: Format
    model: Model
    functions: list[Function]
    keys: st.SearchStrategy[Any]
    values: st.SearchStrategy[Any]
    read: st.SearchStrategy[Any]
    refusals: dict[str, st.SearchStrategy[Any]]
    line: Callable[[Event], str]
    noise: list[str]


TEXT = st.text(st.characters(codec="utf-8"), max_size=5)
NUMBERS = st.integers(-3, 3)


def _jsonl(event: Event) -> str:
    f = {"read": "get", "write": "put"}.get(event.f, event.f)
    called = {"value": event.value, "expected": event.expected} if event.kind == "invoke" else {}
    decided = {"index": 1, "term": 1} if event.kind in ("ok", "refused") else {}
    reported = {"value": event.reported} if event.kind in ("ok", "refused") else {}
    kind = "fail" if event.kind == "refused" else event.kind
    head = {"type": kind, "process": event.process, "client": "c", "op": f"c/{event.process}", "f": f, "key": event.key}
    return json.dumps(head | {"t_us": event.line} | called | decided | reported)


def _logged(event: Event) -> str:
    kind = "fail" if event.kind == "refused" else event.kind
    value = ":timed-out" if event.kind in ("fail", "info") else _register_value(event)
    return f"INFO  jepsen.util - {event.process}\t:{kind}\t:{event.f}\t{value}"


def _register_value(event: Event) -> str:
    if event.f == "cas":
        return f"[{_edn(event.expected)} {_edn(event.value)}]"
    return _edn(event.reported if event.f == "read" else event.value)


def _edn(value: Any) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(map(_edn, value))}]"
    return "nil" if value is None else json.dumps(value, ensure_ascii=len(str(value)) % 2 == 0)


def _map(event: Event, f: str, value: str, more: str = "") -> str:
    return f"{{:type :{event.kind} :process {event.process}, :f :{f}, :value {value}{more}}}"


def _kv_edn(event: Event) -> str:
    f = {"read": "get", "write": "put"}.get(event.f, event.f)
    value = _edn(event.reported if event.f == "read" else event.value)
    return _map(event, f, value, f" :key {_edn(event.key)}")


def _registers(event: Event) -> str:
    return "#jepsen.history.Op" + _map(event, event.f, f"[{_edn(event.key)} {_register_value(event)}]")


def _lists(event: Event) -> str:
    part = (
        f":r {_edn(event.key)} {_edn(event.reported)}"
        if event.f == "read"
        else f":append {_edn(event.key)} {event.value}"
    )
    return _map(event, "txn", f"[[{part}]]")


EDN_NOISE = ["", " , ; {", "#_{:a 1}", "{:process :nemesis, :f :start}"]
SHAPES = [
    Shape(
        "jsonl",
        "kv",
        ["read", "write", "cas", "append", "delete"],
        TEXT,
        TEXT,
        st.none() | TEXT | st.lists(TEXT, max_size=3).map(tuple),
        {"cas": st.none() | TEXT | st.lists(TEXT, max_size=3).map(tuple), "append": TEXT},
        _jsonl,
        ["", "  "],
    ),
    Shape(
        "jepsen-log",
        "register",
        ["read", "write", "cas"],
        st.none(),
        NUMBERS,
        st.none() | NUMBERS,
        {"cas": st.just(NOT_REPORTED)},
        _logged,
        ["", "INFO  jepsen.core - all is well", "INFO  jepsen.util - :nemesis\t:info\t:start\tnil"],
    ),
    Shape("kv-edn", "kv-append", ["read", "write", "append"], TEXT, TEXT, TEXT, {}, _kv_edn, EDN_NOISE),
    Shape(
        "edn",
        "register",
        ["read", "write", "cas"],
        TEXT | NUMBERS,
        NUMBERS,
        st.none() | NUMBERS,
        {},
        _registers,
        EDN_NOISE,
    ),
    Shape(
        "edn",
        "list-append",
        ["read", "append"],
        TEXT | NUMBERS,
        NUMBERS,
        st.lists(NUMBERS, max_size=3).map(tuple),
        {},
        _lists,
        EDN_NOISE,
    ),
]


class History(NamedTuple):
    """The lines of a file, and what is to be read: the operations with their lines, and how many failed."""

    lines: list[str]
    operations: list[Operation]
    places: list[tuple[int, int | None]]
    failed: int


@st.composite
def histories(draw: st.DrawFn, shape: Shape) -> History:
    lines: list[str] = []
    calls: list[tuple[int, Event]] = []
    ends: dict[int, tuple[int, Event]] = {}
    running: dict[int, int] = {}  # process: its call
    for _ in range(draw(st.integers(1, 12))):
        lines += draw(st.lists(st.sampled_from(shape.noise), max_size=2))
        now = len(lines) + 1
        client = draw(st.integers(0, 2))
        process = client + 3 * sum(end.kind == "info" and end.process % 3 == client for _, end in ends.values())
        if process in running:
            call = running.pop(process)
            event = _ended(draw, shape, calls[call][1])._replace(line=now)
            ends[call] = (now, event)
        else:
            f = draw(st.sampled_from(shape.functions))
            value = None if f in ("read", "delete") else draw(shape.values)
            event = Event(
                process, "invoke", f, draw(shape.keys), value, draw(shape.values) if f == "cas" else None, line=now
            )
            running[process] = len(calls)
            calls.append((now, event))
        lines.append(shape.line(event))
    reported_at = sorted([line for line, _ in calls] + [line for line, end in ends.values() if end.kind != "info"])
    alone = {event.process: sum(e.process == event.process for _, e in calls) == 1 for _, event in calls}
    operations: list[Operation] = []
    places: list[tuple[int, int | None]] = []
    for number, (called, event) in enumerate(calls):
        returned, end = ends.get(number, (None, event))
        if end.kind == "fail":
            continue
        status = "unknown" if end.kind in ("invoke", "info") else end.kind
        over = returned if status != "unknown" else None
        reported = end.reported if status == "refused" or (status == "ok" and event.f == "read") else None
        places.append((called, over))
        operations.append(
            Operation(
                len(operations),
                event.key,
                event.f,
                reported_at.index(called) + 1,
                None if over is None else reported_at.index(over) + 1,
                event.value,
                event.expected,
                reported,
                status,
                event.process,
                f"c/{event.process}" if shape.form == "jsonl" and alone[event.process] else "",
            )  # type: ignore[arg-type]
        )
    return History(lines, operations, places, len(calls) - len(operations))


def _ended(draw: st.DrawFn, shape: Shape, call: Event) -> Event:
    kind = draw(st.sampled_from(["ok", "ok", "fail", "info", *(["refused"] if call.f in shape.refusals else [])]))
    reported = None
    if kind == "refused":
        reported = draw(shape.refusals[call.f])
    elif kind == "ok" and call.f == "read":
        reported = draw(shape.read)
    return call._replace(kind=kind, reported=reported)


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: f"{shape.form}, {shape.model}")
def test_values_are_equal_after_writing_and_reading(shape: Shape) -> None:
    @settings(max_examples=40, deadline=None, derandomize=True)
    @given(histories(shape), st.booleans())
    def there_and_back(history: History, windows: bool) -> None:
        text = ("\r\n" if windows else "\n").join([*history.lines, ""])
        found = READERS[shape.form].read("h", text.encode(), shape.model)
        assert (found.operations, found.failed) == (history.operations, history.failed)
        assert [(place.called_line, place.returned_line) for place in found.places] == history.places
        assert guess(Path("h"), text.encode()) == shape.form

    there_and_back()


@pytest.mark.parametrize("shape", SHAPES[1:], ids=lambda shape: f"{shape.form}, {shape.model}")
def test_a_file_that_ends_within_a_line_is_refused(shape: Shape) -> None:
    @settings(max_examples=10, deadline=None, derandomize=True)
    @given(histories(shape))
    def cut(history: History) -> None:
        raw = "\n".join(history[0]).encode()
        last = len(history[0][-1].encode())
        for gone in range(0 if shape.form == "jepsen-log" else 1, last):  # a map is whole without its newline
            with pytest.raises(HistoryError):
                READERS[shape.form].read("h", raw[:-gone] if gone else raw, shape.model)

    cut()


PIECES = [
    b"",
    b"\n",
    b'"',
    b"{",
    b"}",
    b"[",
    b"]",
    b"#",
    b"#_",
    b"\\",
    b":",
    b"nil",
    b"1",
    b"-",
    b"\t",
    b" ",
    b"\xff",
    b"\xc3",
]


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: f"{shape.form}, {shape.model}")
def test_a_damaged_file_is_read_or_refused_with_its_name(shape: Shape) -> None:
    @settings(max_examples=50, deadline=None, derandomize=True)
    @given(histories(shape), st.data())
    def damage(history: tuple[list[str], list[Operation], int], data: st.DataObject) -> None:
        raw = "\n".join([*history[0], ""]).encode()
        place = data.draw(st.integers(0, len(raw)))
        gone = data.draw(st.sampled_from([0, 0, 1, 2, 10, len(raw)]))
        damaged = raw[:place] + data.draw(st.sampled_from(PIECES)) + raw[place + gone :]
        for form in dict.fromkeys([shape.form, guess(Path("h.edn"), damaged)]):
            model = shape.model if form == shape.form else READERS[form].models[0]
            try:
                found = READERS[form].read("h", damaged, model)
            except HistoryError as error:
                assert re.match(r"h(:\d+)?: ", str(error))
                assert len(str(error)) < 250
            else:
                assert len(found.operations) <= damaged.count(b"{") + damaged.count(b"jepsen.util")

    damage()
