"""`raft-chaos explore`: looks for states that no run has reached, and for failures among them.

The progress goes to stderr: the states over time, in lines that come at longer and longer intervals; on a terminal also
one line that changes. The result goes to stdout: tables, or one JSON document; and to a page in the folder.
"""

from __future__ import annotations

import time
from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from raft_chaos.chaos import mutants
from raft_chaos.chaos.campaign.workers import Workers
from raft_chaos.chaos.cli import complete, ends, terminal
from raft_chaos.chaos.cli.common import fail, no_such, parse_duration_s, say_prose
from raft_chaos.chaos.cli.result import Result
from raft_chaos.chaos.cli.run.executor_options import ExecutorName, executor_option, scheduler_option
from raft_chaos.chaos.cli.run.workers import chosen_workers
from raft_chaos.chaos.cli.width import columns
from raft_chaos.chaos.exploration.exploration import Exploration
from raft_chaos.chaos.exploration.explorer import STRATEGIES
from raft_chaos.chaos.exploration.journal import AttemptEnded, ExplorationError
from raft_chaos.chaos.matrix.cells import Cell
from raft_chaos.chaos.matrix.hunt import settings_of
from raft_chaos.chaos.processes import interrupts
from raft_chaos.chaos.run.settings import Settings
from raft_chaos.invariants.rundir import RunDir
from raft_chaos.invariants.verdict import EXIT_HARNESS
from raft_chaos.reports.campaign.exploration import ExplorationTotals, exploration_document, exploration_text

FIRST_LINE_S, LATER = 5.0, 1.3
"""The first line comes after this time, each further one after this many times the time of the one before: so an hour
has about 25 lines."""
PAGE = "explore.html"


def explore(
    budget: Annotated[str, typer.Option(metavar="TIME", help="How long to look: 60s, 10m, 4h.")] = "10m",
    mutant: Annotated[
        str | None,
        typer.Option(
            metavar="ID",
            help="Inject this mistake; see `raft-chaos mutants`.",
            autocompletion=complete.among(lambda: mutants.MUTANTS),
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="All choices follow from it.")] = 1,
    strategy: Annotated[
        str,
        typer.Option(
            metavar="|".join(STRATEGIES),
            help="swarm: one fresh seed after the other, as a campaign. guided: also changes what reached new states.",
            autocompletion=complete.among(lambda: STRATEGIES),
        ),
    ] = "swarm",
    max_failures: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="End at this many failures.", show_default="go on")
    ] = None,
    jobs: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Processes at once.", show_default="as many as cores")
    ] = None,
    executor: Annotated[ExecutorName, executor_option()] = "processes",
    scheduler: Annotated[str | None, scheduler_option()] = None,
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Its folder is made here, and the run directories of failures.")
    ] = Path("runs"),
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress; only the result.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> Result:
    """Looks for states that no run has reached, and for failures among them, in sim.

    It keeps the schedules that reached new states, changes and combines them, and branches their runs. The same command
    goes on where an earlier call was stopped, and spends the budget again.

    Exit codes: 0 no failure, 1 violated, 2 nothing was run, 130 interrupted, 254 bad arguments, 255 the harness itself
    failed.
    """
    if mutant is not None and mutant not in mutants.MUTANTS:
        no_such("--mutant", mutant, mutants.MUTANTS)
    if strategy not in STRATEGIES:
        no_such("--strategy", strategy, STRATEGIES)
    budget_s = parse_duration_s(budget, "--budget")
    with chosen_workers(executor, scheduler, jobs) as workers:
        try:
            out.mkdir(parents=True, exist_ok=True)
            exploration = Exploration(
                _settings(mutant),
                seed,
                out,
                budget_s=budget_s,
                strategy=strategy,
                jobs=workers.jobs,
                max_failures=max_failures,
            )
        except ExplorationError as error:
            fail(f"--out: {error}")
        except OSError as error:
            fail(f"--out: cannot keep an exploration in {out} ({error.strerror})")
        return _explored(exploration, workers, mutant, seed, quiet=quiet, as_json=as_json)


def _explored(
    exploration: Exploration, workers: Workers, mutant: str | None, seed: int, *, quiet: bool, as_json: bool
) -> Result:
    target = f"our Raft with mutant {mutant}" if mutant else "our Raft"
    totals = ExplorationTotals(target=target, seed=seed, folder=str(exploration.journal.folder))
    interrupted = False
    with exploration:
        try:
            _go(exploration, totals, workers, quiet=quiet)
        except KeyboardInterrupt:
            totals.stopped, interrupted = "interrupted", True
        except ExplorationError as error:
            return Result(EXIT_HARNESS, notes=[f"raft-chaos: {error}"])
        file = _reported(exploration, totals)
    page = [*exploration_text(totals, columns())]
    notes = [] if quiet else [f"As a picture: {file}", *([totals.repro] if as_json and totals.repro else [])]
    return Result(
        totals.exit_code, page, exploration_document(totals), as_json, notes, judged=True, interrupted=interrupted
    )


def _reported(exploration: Exploration, totals: ExplorationTotals) -> Path:
    """Writes the reports of the failures, and the page, which it returns. No signal interrupts that."""
    with interrupts.held():
        from raft_chaos.reports.html.exploration import exploration_html
        from raft_chaos.reports.write import write_reports

        for run in (alike.first.run for alike in totals.alike.values()):
            if run is not None and RunDir(Path(run)).run_json.exists():
                write_reports(RunDir(Path(run)))
        file = exploration.journal.folder / PAGE
        file.write_text(exploration_html(totals), encoding="utf-8")
    return file


def _settings(mutant: str | None) -> Settings:
    """The swarm in virtual time, as the matrix has it: small runs, so that many fit into a budget."""
    options = ["--world", "sim", *(["--mutant", mutant] if mutant else [])]
    settings = settings_of(Cell(mutant=mutant or "", world="sim"))
    return Settings(world="sim", schedule=settings.schedule, timing=settings.timing, mutant=mutant, options=options)


def _go(exploration: Exploration, totals: ExplorationTotals, workers: Workers, *, quiet: bool) -> None:
    """Explores until the budget ends, or until the user interrupts it."""
    for ended in exploration.earlier():
        totals.observe(ended, ended.new_states)
    with _Progress(totals, quiet=quiet) as progress:
        if not quiet:
            say_prose(f"exploring {totals.target}, seed {totals.seed}  {workers.jobs} at once  {totals.folder}")
            if totals.attempts:
                say_prose(
                    f"going on after {totals.attempts} runs of earlier calls, which reached {totals.states} states"
                )
        with closing(exploration.run(workers.open)) as attempts:
            for ended in attempts:
                totals.observe(ended, ended.new_states)
                if ended.violated:
                    ends.violation_known()
                progress.show(ended)
    totals.stopped = exploration.stopped


class _Progress:
    """The states over time. Use it as a context manager. With `quiet` it prints nothing."""

    def __init__(self, totals: ExplorationTotals, *, quiet: bool) -> None:
        self._totals = totals
        self._quiet = quiet
        self._status = None if quiet else terminal.status("")
        self._began_s = time.monotonic()
        self._line_after_s = FIRST_LINE_S

    def __enter__(self) -> _Progress:
        if self._status is not None:
            self._status.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._status is not None:
            self._status.stop()

    def show(self, ended: AttemptEnded) -> None:
        """Call this when an attempt has ended and is already in the totals."""
        if self._quiet:
            return
        if ended.run is not None:
            say_prose(f"VIOLATED {', '.join(ended.violated)}  {ended.run}")
        elapsed_s = time.monotonic() - self._began_s
        line = f"{elapsed_s:.0f} s  {self._totals.states} states  {self._totals.attempts} runs"
        line += f"  {self._totals.failures} failures" if self._totals.failures else ""
        if self._status is not None:
            self._status.update(line)
        if elapsed_s >= self._line_after_s:
            self._line_after_s = elapsed_s * LATER
            say_prose(line)
