"""`raft-chaos check --history FILE`: checks whether a history of client operations of any system is linearizable."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec

from raft_chaos.chaos.cli.common import fail
from raft_chaos.chaos.cli.result import Result
from raft_chaos.chaos.cli.width import columns
from raft_chaos.invariants.linearizability import format
from raft_chaos.invariants.linearizability.check import Compared, check_with_order
from raft_chaos.invariants.linearizability.operations import Answer, Model
from raft_chaos.invariants.linearizability.readers.aborted import aborted_read
from raft_chaos.invariants.linearizability.readers.formats import READERS, Format, contents, guess, model_for
from raft_chaos.invariants.linearizability.readers.history_file import HistoryError
from raft_chaos.invariants.rundir import RunDir, RunDirError
from raft_chaos.invariants.verdict import EXIT_CODE, EXIT_USAGE
from raft_chaos.reports.commands.history import JudgedHistory, history_document, history_page
from raft_chaos.reports.window.content import Span, Window, window
from raft_chaos.reports.window.overlay import spans_of
from raft_chaos.reports.window.picture import html, svg

PICTURES: dict[str, Callable[[Window], str]] = {".html": html, ".svg": svg}


def check_history(file: Path, form: Format | None, model: Model | None, as_json: bool, picture: Path | None) -> Result:
    """Reads and judges it. Exit codes: 0 valid, 1 violated, 2 unknown, 254 a file that cannot be judged."""
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
            trouble = f"raft-chaos: --picture: {picture} cannot be written ({error.strerror})"
    if picture is None or trouble:
        drawn = ""
    else:
        drawn = f"picture: {picture}" if shown is not None else f"no violation, so {picture} is not written"
    finding = format.against_the_log(compared.disagreement.reason) if compared.disagreement is not None else ""
    judged = JudgedHistory(file, used, judged_by, history, answer, shown, finding)
    return Result(
        EXIT_USAGE if trouble else EXIT_CODE[answer.verdict],
        history_page(judged, columns(), guessed=form is None, picture=drawn),
        history_document(judged),
        as_json,
        [trouble] if trouble else [],
        judged=not trouble,
    )


def _meanwhile(file: Path) -> list[Span]:
    """The faults and leaders of the run, if the file is the history of a run."""
    run = RunDir(file.parent)
    if not run.history.exists() or not run.run_json.exists() or not run.history.samefile(file):
        return []
    try:
        return spans_of(run)
    except RunDirError:
        return []  # the history can be judged all the same
