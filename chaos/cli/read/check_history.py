"""`raft-chaos check --history FILE`: is a history of client operations linearizable, whatever system they were on?"""

from __future__ import annotations

import json
import shutil
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import msgspec
import typer

from raft_chaos.chaos.cli.common import fail
from raft_chaos.invariants.linearizability import format
from raft_chaos.invariants.linearizability.check import Compared, check_with_order
from raft_chaos.invariants.linearizability.operations import NOT_REPORTED, Answer, Model, Operation
from raft_chaos.invariants.linearizability.readers.aborted import aborted_read
from raft_chaos.invariants.linearizability.readers.formats import READERS, Format, contents, guess, model_for
from raft_chaos.invariants.linearizability.readers.history_file import HistoryError, ReadHistory
from raft_chaos.invariants.rundir import RunDir, RunDirError
from raft_chaos.invariants.verdict import EXIT_CODE
from raft_chaos.reports.text import visible
from raft_chaos.reports.window.content import Span, Window, window
from raft_chaos.reports.window.overlay import spans_of
from raft_chaos.reports.window.picture import html, svg
from raft_chaos.reports.window.timeline import timeline

WIDEST, NARROWEST = 100, 40
"""How many characters a line of prose has, going by the terminal; without one, and of a timeline, 100."""

MOST_KEYS = 10
"""Of so many other keys it is told that they are violated; --json has all."""

PICTURES: dict[str, Callable[[Window], str]] = {".html": html, ".svg": svg}


def check_history(
    file: Path, form: Format | None, model: Model | None, as_json: bool, picture: Path | None
) -> NoReturn:
    """Reads, judges and tells. Exit codes: 0 valid, 1 violated, 2 unknown, 254 a file that cannot be judged."""
    if picture is not None and picture.suffix not in PICTURES:
        fail(f"--picture: expected a name that ends in {' or '.join(PICTURES)}, got {picture}")
    try:
        raw = contents(file)
        used = form or guess(file, raw)
        judged_by = model_for(file, used, model)
        history = READERS[used].read(str(file), raw, judged_by)
    except HistoryError as error:
        fail(str(error))
    if history.operations:
        compared = check_with_order(history.operations, judged_by, history.log_order)
    else:
        compared = Compared(Answer("unknown", 0, argument="no operation of this history can have happened"), None)
    answer = compared.answer
    if remark := aborted_read(history, answer):
        answer = msgspec.structs.replace(answer, argument=f"{answer.argument}; {remark}")
    shown, trouble = None, ""
    if answer.core:
        numbers = [operation.number for operation in answer.core]
        shown = window(history, numbers, answer.key, answer.argument, _meanwhile(file))
    if picture is not None and shown is not None:
        try:
            picture.write_text(PICTURES[picture.suffix](shown), encoding="utf-8")
        except OSError as error:
            trouble = f"--picture: {picture} cannot be written ({error.strerror})"
    finding = format.against_the_log(compared.disagreement.reason) if compared.disagreement is not None else ""
    if as_json:
        asked = {"verdict": answer.verdict, "history": str(file), "format": used, "model": judged_by}
        document = asked | _document(history, answer, finding)
        print(json.dumps(document, ensure_ascii=False, indent=2, default=repr))
    else:
        print(f"format {used}{'' if form else ' (guessed)'}, model {judged_by}: {_amount(history)}")
        _print_answer(answer, shown)
        if finding:
            print(_wrapped(finding))
        if picture is not None and not trouble:
            print(f"picture: {picture}" if shown is not None else f"no violation, so {picture} is not written")
        print(f"{answer.verdict}: {file}")
    if trouble:
        fail(trouble)
    raise typer.Exit(EXIT_CODE[answer.verdict])


def _meanwhile(file: Path) -> list[Span]:
    """The faults and leaders of the run that the file is part of, if it is the history of one."""
    run = RunDir(file.parent)
    if not run.history.exists() or not run.run_json.exists() or not run.history.samefile(file):
        return []
    try:
        return spans_of(run)
    except RunDirError:
        return []  # the history can be judged all the same


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


def _print_answer(answer: Answer, shown: Window | None) -> None:
    where = "" if answer.key is None else visible(f" on key {format.shown(answer.key)}")
    if shown is not None:
        print(f"\nThese operations{where} have no order that real time and the model allow:\n")
        print("\n".join(timeline(shown, _columns(), by_line=True)))
        if shown.cut:
            print(f"... and {_count(shown.cut, 'operation', 'operations')} more; --json has all of them")
    if answer.argument:
        told = _wrapped(answer.argument)
        print(f"\n{told}\n" if answer.core else told)
    elif answer.verdict == "unknown":
        print(f"given up{where} after {answer.steps} steps")
    if answer.others:
        keys = ", ".join(map(format.shown, answer.others[:MOST_KEYS]))
        more = f" and {len(answer.others) - MOST_KEYS} more" if len(answer.others) > MOST_KEYS else ""
        print(f"{_wrapped(f'also violated, as shows without a search: {keys}{more}')}\n")


def _wrapped(text: str) -> str:
    width = max(NARROWEST, min(WIDEST, _columns()))
    return textwrap.fill(visible(text), width, break_long_words=False, break_on_hyphens=False)


def _columns() -> int:
    return shutil.get_terminal_size((WIDEST, 24)).columns


def _document(history: ReadHistory, answer: Answer, finding: str) -> dict[str, Any]:
    return {
        "operations": len(history.operations),
        "keys": history.keys,
        "failed": history.failed,
        "skipped": history.skipped,
        "torn": history.torn,
        "key": answer.key,
        "core": [_operation(history, each) for each in answer.core],
        "argument": answer.argument,
        "other_keys": answer.others,
        "log_order": finding,
        "steps": answer.steps,
    }


def _operation(history: ReadHistory, operation: Operation) -> dict[str, Any]:
    """One operation of a core, with its lines in the file and its times, where the file has any, in seconds."""
    place, ticks = history.places[operation.number], history.ticks
    told = {
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
    return {name: value for name, value in told.items() if value is not NOT_REPORTED}
