"""The judgement of a history file: whether it is linearizable, and if not, why."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from raft_chaos.invariants.linearizability import format
from raft_chaos.invariants.linearizability.operations import NOT_REPORTED, Answer, Operation
from raft_chaos.invariants.linearizability.readers.history_file import ReadHistory
from raft_chaos.reports.text import count, prose, visible
from raft_chaos.reports.window.content import Window
from raft_chaos.reports.window.timeline import timeline

MOST_KEYS = 10
"""The page names at most this many other violated keys; the document has all."""


@dataclass(frozen=True)
class JudgedHistory:
    """The answer about one file, read as `format` and judged by `model`.

    `window` shows the violation, if there is one. `log_order` says where the log's order contradicts the clients.
    """

    file: Path
    format: str
    model: str
    history: ReadHistory
    answer: Answer
    window: Window | None
    log_order: str


def history_page(judged: JudgedHistory, columns: int, *, guessed: bool, picture: str) -> Iterator[str]:
    """The page for a terminal of `columns`. `guessed`: the user named no format; `picture`: a line about it, or ""."""
    how = " (guessed)" if guessed else ""
    yield from prose(f"format {judged.format}{how}, model {judged.model}: {_amount(judged.history)}", columns, "", "  ")
    yield from _answer(judged.answer, judged.window, columns)
    if judged.log_order:
        yield _wrapped(judged.log_order, columns)
    if picture:
        yield picture
    yield f"{judged.answer.verdict}: {judged.file}"


def history_document(judged: JudgedHistory) -> msgspec.Raw:
    """The document. A value that JSON does not have is written as Python's text of it."""
    history, answer = judged.history, judged.answer
    plain = {
        "verdict": answer.verdict,
        "history": str(judged.file),
        "format": judged.format,
        "model": judged.model,
        "operations": len(history.operations),
        "keys": history.keys,
        "failed": history.failed,
        "skipped": history.skipped,
        "stale": history.stale,
        "torn": history.torn,
        "key": answer.key,
        "core": [_operation(history, each) for each in answer.core],
        "argument": answer.argument,
        "other_keys": answer.others,
        "log_order": judged.log_order,
        "steps": answer.steps,
    }
    return msgspec.Raw(json.dumps(plain, ensure_ascii=False, default=repr).encode())


def _amount(history: ReadHistory) -> str:
    """The amounts that were read and left out."""
    left_out = []
    if history.failed:
        left_out.append(count(history.failed, "operation that failed", "operations that failed"))
    if history.skipped:
        left_out.append(count(history.skipped, "line that is not a client's", "lines that are not a client's"))
    if history.stale:
        left_out.append(count(history.stale, "stale read", "stale reads"))
    if history.torn:
        left_out.append("the last line, which is torn")
    read = f"{count(len(history.operations), 'operation')} on {count(history.keys, 'key')}"
    return f"{read} (left out: {', '.join(left_out)})" if left_out else read


def _answer(answer: Answer, window: Window | None, columns: int) -> Iterator[str]:
    where = "" if answer.key is None else visible(f" on key {format.shown(answer.key)}")
    if window is not None:
        yield ""
        yield from prose(f"These operations{where} have no order that real time and the model allow:", columns)
        yield ""
        yield from timeline(window, columns, by_line=True)
        if window.cut:
            yield f"... and {count(window.cut, 'operation')} more; --json has all of them"
    if answer.argument:
        argument = _wrapped(answer.argument, columns)
        yield f"\n{argument}\n" if answer.core else argument
    elif answer.verdict == "unknown":
        yield f"given up{where} after {answer.steps} steps"
    if answer.others:
        keys = ", ".join(map(format.shown, answer.others[:MOST_KEYS]))
        more = f" and {len(answer.others) - MOST_KEYS} more" if len(answer.others) > MOST_KEYS else ""
        yield f"{_wrapped(f'also violated, found without a search: {keys}{more}', columns)}\n"


def _wrapped(text: str, columns: int) -> str:
    return textwrap.fill(visible(text), columns, break_long_words=False, break_on_hyphens=False)


def _operation(history: ReadHistory, operation: Operation) -> dict[str, Any]:
    """One operation of a core, with its lines in the file, and its times in seconds if the file has times."""
    place, ticks = history.places[operation.number], history.ticks
    fields = {
        "number": operation.number,
        "name": operation.label,
        "process": operation.process,
        "f": operation.f,
        "value": operation.value,
        "expected": operation.expected,
        "result": operation.result,
        "status": operation.status,
        "called_line": place.called_line,
        "returned_line": place.returned_line,
        "called_s": None if place.called_clock is None else place.called_clock / ticks,
        "returned_s": None if place.returned_clock is None else place.returned_clock / ticks,
    }
    return {name: value for name, value in fields.items() if value is not NOT_REPORTED}
