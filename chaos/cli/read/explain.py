"""`raft-chaos explain`: shows how a violation came about, as a short listing or as a diagram."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

import typer
from msgspec.structs import replace

from raft_chaos.chaos.cli.common import fail, parse_duration_s
from raft_chaos.chaos.cli.read.explanation import explanation
from raft_chaos.chaos.cli.read.run_names import offered, resolve
from raft_chaos.chaos.cli.result import Result
from raft_chaos.chaos.cli.width import columns
from raft_chaos.chaos.execution.steps import NotPlayableError
from raft_chaos.chaos.mutants import parts_of
from raft_chaos.chaos.replay.confirm import undamaged
from raft_chaos.chaos.reproduction.file import DEFAULT_NAME, ReproductionError, load
from raft_chaos.chaos.run.settings import program
from raft_chaos.chaos.schedule.data import ScheduleError
from raft_chaos.invariants.rundir import RunDir, RunDirError
from raft_chaos.invariants.seal import DamagedError
from raft_chaos.invariants.verdict import EXIT_UNKNOWN, Verdict, overall
from raft_chaos.reports.commands.explain import explanation_document, explanation_page
from raft_chaos.reports.facts.around import around_in
from raft_chaos.reports.spacetime import of_run, of_steps
from raft_chaos.reports.story.happens_before import Item
from raft_chaos.reports.story.mermaid import mermaid
from raft_chaos.reports.text import fenced, visible

WIDEST = 100
Form: TypeAlias = Literal["page", "json", "mermaid", "html", "svg"]


def explain(
    path: Annotated[
        Path,
        typer.Argument(
            metavar="RUN|FILE",
            help="A run (its directory, the beginning of its name, latest), or a reproduction file.",
            callback=resolve,
            autocompletion=offered,
        ),
    ],
    invariant: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="The violation of this invariant.", show_default="the earliest one"),
    ] = None,
    steps: Annotated[bool, typer.Option("--steps", help="Of its reproduction: the steps and their output.")] = False,
    edited: Annotated[bool, typer.Option("--edited", help="Use a file that was changed since it was made.")] = False,
    as_mermaid: Annotated[bool, typer.Option("--mermaid", help="Only the diagram, ready to paste.")] = False,
    as_html: Annotated[
        bool, typer.Option("--html", help="A page for a browser: the space-time diagram, to step through.")
    ] = False,
    as_svg: Annotated[bool, typer.Option("--svg", help="That diagram as an image, for a document.")] = False,
    causality: Annotated[
        bool, typer.Option("--causality", help="Of its reproduction: at which step the failure was decided.")
    ] = False,
    budget: Annotated[str, typer.Option(metavar="TIME", help="With --causality: how long it may measure.")] = "20s",
    seed: Annotated[
        int, typer.Option(min=0, metavar="N", help="With --causality: what may follow is drawn from it.")
    ] = 1,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="OUT", help="Where --html or --svg is written.", show_default="RUN/explain.html, or beside FILE"
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> Result:
    """Explains a violation in a saved run: the events that led to it, one per line. Exit code 2: nothing to explain."""
    if as_mermaid + as_json + steps + as_html + as_svg > 1:
        fail("--mermaid, --json, --steps, --html, --svg: expected one of them")
    if out is not None and not (as_html or as_svg):
        fail("--out: only --html and --svg write a file")
    if causality and (as_mermaid or steps or as_svg or invariant):
        fail("--causality: expected only --html or --json with it, not --mermaid, --steps, --svg or --invariant")
    form: Form = "mermaid" if as_mermaid else "html" if as_html else "svg" if as_svg else "json" if as_json else "page"
    try:
        if causality:
            from raft_chaos.chaos.cli.read.causality import explain_causality

            budget_s = parse_duration_s(budget, "--budget")
            return explain_causality(path, edited, seed, budget_s, out, as_html=as_html, as_json=as_json)
        if steps:
            return Result(page=_steps(path, edited))
        return _explained(path, edited, invariant, form, out)
    except DamagedError as error:
        return Result(EXIT_UNKNOWN, notes=[f"raft-chaos: {error}"])
    except (RunDirError, ReproductionError, ScheduleError) as error:
        fail(str(error))
    except NotPlayableError as error:
        fail(f"{path}: {error}; run it with {shlex.join([program(), 'repro', str(path)])}, and explain that run")


def _explained(path: Path, edited: bool, invariant: str | None, form: Form, out: Path | None) -> Result:
    """The explanation in this form, of the steps where a file has them, otherwise of the events.

    Raises DamagedError, RunDirError, ReproductionError, ScheduleError, NotPlayableError.
    """
    is_drawn, as_svg = form in ("html", "svg"), form == "svg"
    if is_drawn and path.is_file():
        from raft_chaos.chaos.cli.read.drawn import drawn_file, write_drawn

        rows = of_steps.PRINTED_ROWS if as_svg else of_steps.MOST_ROWS
        if (drawn := drawn_file(path, edited, invariant, rows)) is not None:
            return write_drawn(drawn, path, out, as_svg=as_svg)
    items, verdicts = _again(path, edited) if path.is_file() else _saved(RunDir(path))
    explained = explanation(items, verdicts, invariant)
    if explained is None:
        return Result(EXIT_UNKNOWN, notes=[f"raft-chaos: nothing to explain: {nothing_violated(verdicts, invariant)}"])
    if path.is_dir():
        explained = replace(explained, around=around_in(RunDir(path), explained.story.violation))
    if is_drawn:
        from raft_chaos.chaos.cli.read.drawn import drawn_run, write_drawn

        drawn = drawn_run(path, items, explained, of_run.PRINTED_ROWS if as_svg else of_run.MOST_ROWS)
        return write_drawn(drawn, path, out, as_svg=as_svg)
    if form == "mermaid":
        return Result(page=fenced(mermaid(explained.story), "mermaid"))
    page = explanation_page(explained, columns(), [program(), "explain", str(path)])
    return Result(page=page, document=explanation_document(explained), as_json=form == "json")


def _saved(run: RunDir) -> tuple[list[Item], list[Verdict]]:
    """The trace of a saved run, and the verdicts on it. Raises DamagedError, RunDirError."""
    verdicts = undamaged(run)
    return [item.event for item in run.trace()], verdicts


def _steps(path: Path, edited: bool) -> list[str]:
    """The execution of a reproduction file, or of the one in a run's directory, with its messages and records."""
    file = path / DEFAULT_NAME if path.is_dir() and (path / DEFAULT_NAME).is_file() else path
    if not file.is_file():
        fail(f"--steps: {file} is no reproduction file; raft-chaos shrink makes one, and raft-chaos trace shows a run")
    reproduction = load(file, edited=edited)
    if reproduction.execution is None:
        fail(f"--steps: {file} has only a schedule, no execution")
    from raft_chaos.chaos.execution.narrate import narrate

    return narrate(reproduction.execution, parts_of(reproduction.mutant))


def _again(file: Path, edited: bool) -> tuple[list[Item], list[Verdict]]:
    """The same for a reproduction, which it runs again in this process."""
    from raft_chaos.chaos.reproduction.reproduce import Lines, reproduce_with  # it brings the simulator
    from raft_chaos.chaos.run.nodes.memory_driver import MemoryDriver

    reproduction, lines = load(file, edited=edited), Lines()
    done = reproduce_with(reproduction, MemoryDriver(parts_of(reproduction.mutant)), lines)
    return lines.items, done.verdicts


def nothing_violated(verdicts: Sequence[Verdict], invariant: str | None) -> str:
    """A sentence with the verdict, if there is no violation to explain."""
    if invariant is None:
        return f"no invariant was violated ({overall(verdict.outcome for verdict in verdicts)})"
    verdict = next(verdict for verdict in verdicts if verdict.invariant == invariant)
    return f"{invariant} is {verdict.outcome}{f' ({visible(verdict.reason)})' if verdict.reason else ''}"
