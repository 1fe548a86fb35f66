"""`raft-chaos check --history FILE`: is a history of client operations linearizable, whatever system they were on?"""

from __future__ import annotations

import json
import textwrap
from pathlib import Path
from typing import Any, NoReturn

import typer
from tabulate import tabulate

from chaos.cli.common import fail
from invariants.linearizability.check import check
from invariants.linearizability.operations import NOT_TOLD, Answer, Model, Operation
from invariants.linearizability.readers.edn import Keyword
from invariants.linearizability.readers.formats import READERS, Format, contents, guess, model_for
from invariants.linearizability.readers.history_file import HistoryError, ReadHistory
from invariants.verdict import EXIT_CODE

WIDTH = 100
"""How many characters a line of prose has."""
WIDEST = 60
"""How many characters of a value are shown in a table; --json has all of it."""


def check_history(file: Path, form: Format | None, model: Model | None, as_json: bool) -> NoReturn:
    """Reads, judges and tells. Exit codes: 0 valid, 1 violated, 2 unknown, 254 a file that cannot be judged."""
    try:
        raw = contents(file)
        used = form or guess(file, raw)
        judged_by = model_for(file, used, model)
        history = READERS[used].read(str(file), raw, judged_by)
    except HistoryError as error:
        fail(str(error))
    if history.operations:
        answer = check(history.operations, judged_by)
    else:
        answer = Answer("unknown", 0, argument="no operation of this history can have happened")
    if as_json:
        asked = {"verdict": answer.verdict, "history": str(file), "format": used, "model": judged_by}
        document = asked | _document(history, answer)
        print(json.dumps(document, ensure_ascii=False, indent=2, default=repr))
    else:
        print(f"format {used}{'' if form else ' (guessed)'}, model {judged_by}: {_amount(history)}")
        _print_answer(history, answer)
        print(f"{answer.verdict}: {file}")
    raise typer.Exit(EXIT_CODE[answer.verdict])


def _amount(history: ReadHistory) -> str:
    """What was read, and what was left out."""
    left_out = []
    if history.failed:
        left_out.append(_count(history.failed, "operation that failed", "operations that failed"))
    if history.skipped:
        left_out.append(_count(history.skipped, "line that is not a client's", "lines that are not a client's"))
    if history.torn:
        left_out.append("the last line, which is torn")
    told = f"{_count(len(history.operations), 'operation', 'operations')} on {_count(history.keys, 'key', 'keys')}"
    return f"{told} (left out: {', '.join(left_out)})" if left_out else told


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"


def _print_answer(history: ReadHistory, answer: Answer) -> None:
    where = "" if answer.key is None else f" on key {_shown(answer.key)}"
    if answer.core:
        print(f"\nThese operations{where} have no order that real time and the model allow:")
        print(
            tabulate([_row(history, each) for each in answer.core], _COLUMNS, tablefmt="simple", disable_numparse=True)
        )
    if answer.argument:
        told = textwrap.fill(answer.argument, WIDTH, break_long_words=False, break_on_hyphens=False)
        print(f"\n{told}\n" if answer.core else told)
    if answer.verdict == "unknown" and not answer.argument:
        print(f"given up{where} after {answer.steps} steps")


_COLUMNS = ["number", "process", "operation", "value", "result", "called", "returned"]


def _row(history: ReadHistory, operation: Operation) -> list[str]:
    value = "" if operation.f in ("read", "delete") else _shown(operation.value)
    if operation.f == "cas":
        value = f"{_shown(operation.expected)} to {value}"
    returned = "never" if operation.returned is None else f"line {history.line_of(operation.returned)}"
    return [
        str(operation.number),
        str(operation.process),
        operation.f,
        value,
        _result(operation),
        f"line {history.line_of(operation.called)}",
        returned,
    ]


def _result(operation: Operation) -> str:
    if operation.status == "refused":
        return "refused" if operation.result is NOT_TOLD else f"refused, found {_shown(operation.result)}"
    if operation.status == "ok" and operation.f == "read":
        return _shown(operation.result)
    return operation.status


def _shown(value: Any) -> str:
    """A value as JSON has it; a keyword of EDN as EDN does."""
    text = repr(value) if isinstance(value, Keyword) else json.dumps(value, ensure_ascii=False, default=repr)
    return text if len(text) <= WIDEST else f"{text[: WIDEST // 2]} ... {text[-WIDEST // 2 :]}"


def _document(history: ReadHistory, answer: Answer) -> dict[str, Any]:
    return {
        "operations": len(history.operations),
        "keys": history.keys,
        "failed": history.failed,
        "skipped": history.skipped,
        "torn": history.torn,
        "key": answer.key,
        "core": [_operation(history, each) for each in answer.core],
        "argument": answer.argument,
        "steps": answer.steps,
    }


def _operation(history: ReadHistory, operation: Operation) -> dict[str, Any]:
    """One operation of a core, its times as lines of the file."""
    told = {
        "number": operation.number,
        "process": operation.process,
        "f": operation.f,
        "value": operation.value,
        "expected": operation.expected,
        "result": operation.result,
        "status": operation.status,
        "called_line": history.line_of(operation.called),
        "returned_line": None if operation.returned is None else history.line_of(operation.returned),
    }
    return {name: value for name, value in told.items() if value is not NOT_TOLD}
