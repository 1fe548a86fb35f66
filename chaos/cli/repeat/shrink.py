"""`raft-chaos shrink`: the smallest schedule and execution that still break the same invariant, as one file."""

from __future__ import annotations

import os
import re
from itertools import count
from math import inf
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.status import Status
from tabulate import tabulate

from raft_chaos.chaos.cli.common import fail, say
from raft_chaos.chaos.cli.read.check import RunPath
from raft_chaos.chaos.execution.merge import MergeError
from raft_chaos.chaos.replay.result import ReplayError
from raft_chaos.chaos.reproduction.file import Reproduction, ReproductionError, load, save
from raft_chaos.chaos.reproduction.make import NotReproducedError
from raft_chaos.chaos.run.settings import program
from raft_chaos.chaos.schedule.data import ScheduleError
from raft_chaos.chaos.shrink.anchors import SEEDS
from raft_chaos.chaos.shrink.failure import INTERRUPTED, Shrinker, Shrunk
from raft_chaos.chaos.shrink.from_run import NothingToShrinkError, UnknownInvariantError, failure_in
from raft_chaos.chaos.shrink.search import WorkerDiedError
from raft_chaos.invariants.rundir import RunDir, RunDirError
from raft_chaos.invariants.verdict import EXIT_HARNESS, EXIT_UNKNOWN
from raft_chaos.reports.text import visible

DEFAULT_NAME = "reproduction.json"
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(s|m|min)?")
_SECONDS = {"s": 1.0, "m": 60.0, "min": 60.0}


def shrink(
    run: RunPath,
    budget: Annotated[str, typer.Option(metavar="TIME", help="How long it may take: 60s, 5m.")] = "60s",
    invariant: Annotated[
        str | None, typer.Option(metavar="NAME", help="The one that is to break.", show_default="the first that did")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The file to write.", show_default=f"RUN/{DEFAULT_NAME}")
    ] = None,
    anchors: Annotated[
        bool, typer.Option("--anchors/--no-anchors", help="Tie faults to the protocol where that helps.")
    ] = True,
    jobs: Annotated[int | None, typer.Option(min=1, help="How many processes.", show_default="all cores")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress; only the result.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Makes a failure smaller while the same invariant still breaks, and writes its reproduction file.

    Exit codes: 0 written, 2 nothing to shrink or not reproducible, 254 bad arguments, 255 the harness itself failed.
    """
    budget_s = _seconds(budget)
    file = out if out is not None else run / DEFAULT_NAME
    try:
        failure = failure_in(RunDir(run), invariant)
    except (MergeError, ReplayError, RunDirError, ScheduleError) as error:
        fail(str(error))
    except UnknownInvariantError as error:
        fail(f"--invariant: {error}")
    except NothingToShrinkError as error:
        say(f"raft-chaos: {error}")
        raise typer.Exit(EXIT_UNKNOWN) from None
    _check_writable(file)
    with _Progress(quiet=quiet) as progress:
        shrinker = Shrinker(failure, budget_s, jobs or os.cpu_count() or 1, anchors=anchors, progress=progress.tell)
        try:
            shrunk = shrinker.run()
        except WorkerDiedError as error:
            say(f"raft-chaos: {error}; --jobs 1 needs none")
            raise typer.Exit(EXIT_HARNESS) from None
        except NotReproducedError as error:
            say(f"raft-chaos: {run}: not reproduced: {error}")
            raise typer.Exit(EXIT_UNKNOWN) from None
    file = _beside_a_smaller(file, shrunk)
    try:
        save(shrunk.reproduction, file)
    except OSError as error:
        fail(f"--out: cannot write {file} ({error.strerror})")
    print(
        msgspec.json.format(msgspec.json.encode(_document(shrunk, file))).decode() if as_json else _told(shrunk, file)
    )


def _beside_a_smaller(file: Path, shrunk: Shrunk) -> Path:
    """The file, or another name where a smaller reproduction of the same would be lost for one that is not finished."""
    if shrunk.minimal or not file.exists():
        return file
    try:
        there = load(file)
    except ReproductionError:
        return file
    if there.expected.invariant != shrunk.reproduction.expected.invariant or not _is_smaller(
        there, shrunk.reproduction
    ):
        return file
    other = next(name for n in count(2) if not (name := file.with_name(f"{file.stem}-{n}{file.suffix}")).exists())
    say(f"kept {file}, which is smaller")
    return other


def _is_smaller(one: Reproduction, other: Reproduction) -> bool:
    sizes = [len(part.execution.steps) if part.execution is not None else inf for part in (one, other)]
    return sizes[0] < sizes[1]


def _check_writable(file: Path) -> None:
    """Before the work, not after it."""
    if file.is_dir() or not file.parent.is_dir() or not os.access(file.parent, os.W_OK):
        fail(f"--out: cannot write {file}; expected a file in a folder that is there")


def _seconds(text: str) -> float:
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        fail(f"--budget: expected a time such as 60s or 5m, got {text!r}")
    return float(match[1]) * _SECONDS[match[2] or "s"]


class _Progress:
    """On a terminal one line that changes, elsewhere nothing: it takes no longer than was asked for."""

    def __init__(self, *, quiet: bool) -> None:
        console = Console(stderr=True)
        self._status = None if quiet or not console.is_terminal else Status("shrinking", console=console)

    def __enter__(self) -> _Progress:
        if self._status is not None:
            self._status.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._status is not None:
            self._status.stop()

    def tell(self, what: str, replays: int, left: str) -> None:
        if self._status is not None:
            self._status.update(f"shrinking the {what}: {left} left, {replays} replays")


def _document(shrunk: Shrunk, file: Path) -> dict[str, object]:
    document: dict[str, object] = {
        "invariant": shrunk.reproduction.expected.invariant,
        "mutant": shrunk.reproduction.mutant,
        "before": shrunk.before,
        "after": shrunk.after,
        "replays": shrunk.replays,
        "minimal": shrunk.minimal,
        "file": str(file),
        "has": [part for part in ("execution", "scenario") if getattr(shrunk.reproduction, part) is not None],
        "remarks": shrunk.remarks,
    }
    if shrunk.anchored is not None:
        document["anchors"] = {"seeds": SEEDS, "before": shrunk.anchored.before, "after": shrunk.anchored.after}
    return document


def _end(shrunk: Shrunk) -> str:
    if shrunk.minimal:
        return "minimal: nothing single can be taken out"
    return f"{'interrupted' if INTERRUPTED in shrunk.remarks else 'the budget ended first'}, so more may go"


def _told(shrunk: Shrunk, file: Path) -> str:
    expected = shrunk.reproduction.expected
    rows = [
        [name, *("-" if (count := getattr(part, name)) is None else count for part in (shrunk.before, shrunk.after))]
        for name in shrunk.before.__struct_fields__
    ]
    lines = [
        f"{expected.invariant}: {visible(expected.violation.message)}",
        "",
        tabulate(rows, ["", "before", "after"], tablefmt="simple"),
        "",
        f"{shrunk.replays} replays; " + _end(shrunk),
    ]
    if shrunk.anchored is not None:
        anchored = shrunk.anchored
        lines.append(
            f"Of {SEEDS} simulated runs with the delays of live the file's schedule fails {anchored.after} "
            f"({anchored.before} before its faults were anchored); --world live may do so about as often."
        )
    lines += [f"Note: {remark}" for remark in shrunk.remarks if remark != INTERRUPTED]
    lines += [f"Written to {file}. To run it again:", f"{program()} repro {file}"]
    return "\n".join(lines)
