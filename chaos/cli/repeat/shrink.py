"""`raft-chaos shrink`: searches for a small schedule and execution that violate the same invariant, for one file."""

from __future__ import annotations

import os
from itertools import count
from math import inf
from pathlib import Path
from time import monotonic
from typing import Annotated

import msgspec
import typer

from raft_chaos.chaos.cli import terminal
from raft_chaos.chaos.cli.common import fail, parse_duration_s, say
from raft_chaos.chaos.cli.read.run_names import RunPath
from raft_chaos.chaos.cli.result import Result
from raft_chaos.chaos.cli.run.executor_options import ExecutorName, executor_option, scheduler_option
from raft_chaos.chaos.cli.run.workers import chosen_workers
from raft_chaos.chaos.cli.width import columns
from raft_chaos.chaos.execution.merge import MergeError
from raft_chaos.chaos.processes import interrupts
from raft_chaos.chaos.replay.result import ReplayError
from raft_chaos.chaos.reproduction.file import DEFAULT_NAME, Reproduction, ReproductionError, load, save
from raft_chaos.chaos.reproduction.make import NotReproducedError
from raft_chaos.chaos.run.settings import program
from raft_chaos.chaos.schedule.data import ScheduleError
from raft_chaos.chaos.shrink.anchors import SEEDS
from raft_chaos.chaos.shrink.failure import INTERRUPTED, Shrinker, Shrunk
from raft_chaos.chaos.shrink.from_run import (
    NothingToShrinkError,
    UnknownInvariantError,
    failure_in,
    is_of_another_system,
)
from raft_chaos.chaos.shrink.search import BudgetEndedError, WorkerDiedError, within
from raft_chaos.invariants.rundir import RunDir, RunDirError
from raft_chaos.invariants.seal import DamagedError
from raft_chaos.invariants.verdict import EXIT_HARNESS, EXIT_UNKNOWN
from raft_chaos.reports.commands import shrink as shrink_report
from raft_chaos.reports.commands.shrink import Anchors, shrunk_page

BUDGET_S, LIVE_BUDGET_S = 60.0, 300.0


def shrink(
    run: RunPath,
    budget: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="How long it may take: 60s, 5m.", show_default="60s; 5m for another system"),
    ] = None,
    invariant: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="The invariant that must be violated.", show_default="the first violated"),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The file to write.", show_default=f"RUN/{DEFAULT_NAME}")
    ] = None,
    anchors: Annotated[
        bool, typer.Option("--anchors/--no-anchors", help="Anchor faults to protocol events if that helps.")
    ] = True,
    jobs: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="N", help="How many processes.", show_default="all cores; of another system 1 run at once"
        ),
    ] = None,
    executor: Annotated[ExecutorName, executor_option()] = "processes",
    scheduler: Annotated[str | None, scheduler_option()] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress; only the result.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> Result:
    """Makes a failure smaller, with a violation of the same invariant, and writes its reproduction file.

    A failure of another system is made smaller by running it again and again; the report says how often it then fails.

    Exit codes: 0 written, 2 nothing to shrink or not reproducible, 130 interrupted (the best so far is written),
    254 bad arguments, 255 the harness itself failed.
    """
    until_s = monotonic()
    budget_s = None if budget is None else parse_duration_s(budget, "--budget", may_be_zero=True)
    file = out if out is not None else run / DEFAULT_NAME
    with _Progress(quiet=quiet) as progress:
        try:
            foreign = is_of_another_system(RunDir(run))
            _check_writable(file)
            if foreign:
                if executor != "processes" or scheduler is not None:
                    fail("--executor: another system runs in real time, on this machine alone; leave out the option")
                from raft_chaos.chaos.cli.repeat.shrink_live import shrink_live  # it brings the world live

                budget_s = LIVE_BUDGET_S if budget_s is None else budget_s
                return shrink_live(RunDir(run), file, invariant, budget_s, jobs, progress.show, as_json)
            until_s += BUDGET_S if budget_s is None else budget_s
            with within(until_s - monotonic()):
                failure = failure_in(RunDir(run), invariant, progress.stage)
        except (MergeError, ReplayError, RunDirError, ScheduleError) as error:
            fail(str(error))
        except UnknownInvariantError as error:
            fail(f"--invariant: {error}")
        except (DamagedError, NothingToShrinkError) as error:
            return Result(EXIT_UNKNOWN, notes=[f"raft-chaos: {error}"])
        except BudgetEndedError:
            return _nothing_done(run, f"the budget ended while it was {progress.last_stage}; give a longer one")
        try:
            with chosen_workers(executor, scheduler, jobs) as workers:
                elsewhere = workers.open if workers.far else None
                shrinker = Shrinker(
                    failure, until_s - monotonic(), workers.jobs, anchors, progress=progress.tell, open=elsewhere
                )
                with interrupts.held(lambda _: shrinker.interrupt()):
                    shrunk = shrinker.run()
                    file = _beside_a_smaller(file, shrunk)
                    save(shrunk.reproduction, file)
        except WorkerDiedError as error:
            return Result(EXIT_HARNESS, notes=[f"raft-chaos: {error}; --executor processes --jobs 1 needs none"])
        except NotReproducedError as error:
            return _nothing_done(run, f"not reproduced: {error}")
        except OSError as error:
            fail(f"--out: cannot write {file} ({error.strerror})")
    return _done(shrunk, file, as_json=as_json)


def _nothing_done(run: Path, why: str) -> Result:
    notes = [f"raft-chaos: {run}: {why}; no file was written, and the run is as it was"]
    return Result(EXIT_UNKNOWN, notes=notes, interrupted=interrupts.received() is not None)


def _done(shrunk: Shrunk, file: Path, *, as_json: bool) -> Result:
    done = _plain(shrunk, file)
    message = shrunk.reproduction.expected.violation.message
    page = shrunk_page(done, message, f"{program()} repro {file}", INTERRUPTED, columns())
    interrupted = INTERRUPTED in shrunk.remarks
    return Result(page=page, document=done, as_json=as_json, judged=True, interrupted=interrupted)


def _plain(shrunk: Shrunk, file: Path) -> shrink_report.Shrunk:
    anchored = shrunk.anchored
    return shrink_report.Shrunk(
        invariant=shrunk.reproduction.expected.invariant,
        mutant=shrunk.reproduction.mutant,
        before=msgspec.structs.asdict(shrunk.before),
        after=msgspec.structs.asdict(shrunk.after),
        replays=shrunk.replays,
        minimal=shrunk.minimal,
        file=str(file),
        has=[part for part in ("execution", "scenario") if getattr(shrunk.reproduction, part) is not None],
        remarks=shrunk.remarks,
        anchors=msgspec.UNSET if anchored is None else Anchors(SEEDS, anchored.before, anchored.after),
    )


def _beside_a_smaller(file: Path, shrunk: Shrunk) -> Path:
    """The file, or another name if an unfinished result would replace a smaller reproduction of the same failure."""
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
    """Checks before the work that the file can be written."""
    if file.is_dir() or not file.parent.is_dir() or not os.access(file.parent, os.W_OK):
        fail(f"--out: cannot write {file}; expected a file in an existing folder")


class _Progress:
    """On a terminal one line that changes; elsewhere nothing, since the budget limits the time. `last_stage` is what
    was done with the whole run last."""

    def __init__(self, *, quiet: bool) -> None:
        self.last_stage = ""
        self._status = None if quiet else terminal.status("shrinking")

    def __enter__(self) -> _Progress:
        if self._status is not None:
            self._status.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._status is not None:
            self._status.stop()

    def stage(self, stage: str) -> None:
        self.last_stage = stage
        self.show(f"the run is {stage}")

    def tell(self, what: str, replays: int, left: str) -> None:
        self.show(f"shrinking the {what}: {left} left, {replays} replays")

    def show(self, line: str) -> None:
        if self._status is not None:
            self._status.update(line)
