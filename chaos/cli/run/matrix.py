"""`raft-chaos matrix`: hunts each mutant; who convicts it, and which faults and episodes that needs.

The progress goes to stderr: an estimate of the time, then a line for each hunt. The result goes to stdout.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from raft_chaos.chaos.cli.common import fail, no_such, parse_duration_s, say_prose
from raft_chaos.chaos.cli.result import Result
from raft_chaos.chaos.cli.width import columns
from raft_chaos.chaos.matrix.cells import Hunt
from raft_chaos.chaos.matrix.estimate import Group, estimate
from raft_chaos.chaos.matrix.matrix import Matrix, MatrixError, Order, done_in
from raft_chaos.chaos.matrix.plan import PARTS
from raft_chaos.chaos.mutants import MUTANTS
from raft_chaos.chaos.processes import interrupts
from raft_chaos.chaos.run.world import WORLDS
from raft_chaos.chaos.schedule.left_out import EPISODES
from raft_chaos.reports.campaign.matrix import matrix_markdown, matrix_page
from raft_chaos.reports.campaign.matrix_compare import comparison
from raft_chaos.reports.campaign.matrix_view import Hunted, MatrixView
from raft_chaos.reports.tables import Table
from raft_chaos.reports.text import count

HUNTS, BUDGET, TIME_LIMIT = 10, "60s", "4h"
EACH = "each"


def matrix(
    mutants: Annotated[
        list[str] | None, typer.Argument(metavar="MUTANT", help="Which mutants.", show_default="all")
    ] = None,
    worlds: Annotated[str, typer.Option(metavar="WORLD,...", help="Some of sim, lockstep, live.")] = ",".join(WORLDS),
    hunts: Annotated[int, typer.Option(min=1, max=100, metavar="N", help="How many campaigns each, in sim.")] = HUNTS,
    budget: Annotated[
        str, typer.Option(metavar="TIME", help="CPU time of one campaign; real time elsewhere.")
    ] = BUDGET,
    without: Annotated[
        str,
        typer.Option(
            metavar="PART,...", help="Kinds of faults and episodes to leave out, one at a time, in sim; or none."
        ),
    ] = EACH,
    time_limit: Annotated[str, typer.Option(metavar="TIME", help="Begin no campaign after that time.")] = TIME_LIMIT,
    jobs: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="How many processes.", show_default="all cores")
    ] = None,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Its file is kept here; the same command goes on.")] = Path(
        "runs"
    ),
    compare: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Compare with this file of an earlier matrix.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only estimate how long it takes.")] = False,
    markdown: Annotated[Path | None, typer.Option(metavar="FILE", help="Also write the tables as Markdown.")] = None,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Also write the page.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress; only the result.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> Result:
    """Hunts each mutant: who convicts it, and what that needs.

    Each mutant has several campaigns in sim, and one in each other world. Then the schedules of seeds that convicted it
    leave out one kind of fault, or one episode.

    Exit codes: 0 every campaign ended, 2 some are left (the same command goes on), 130 interrupted, 254 bad arguments.
    """
    order = Order(
        mutants=_known("MUTANT", mutants or list(MUTANTS), MUTANTS),
        worlds=_known("--worlds", _listed(worlds), WORLDS),
        without=PARTS if without == EACH else _known("--without", _listed(without), PARTS),
        hunts=hunts,
        budget_s=parse_duration_s(budget, "--budget"),
    )
    if not order.worlds:
        fail(f"--worlds: expected some of {', '.join(WORLDS)}, got {worlds!r}")
    files = {"--markdown": markdown, "--html": html}
    _check_writable(files)
    jobs, limit_s = jobs or os.cpu_count() or 1, parse_duration_s(time_limit, "--time-limit")
    earlier = _earlier(compare)
    try:
        out.mkdir(parents=True, exist_ok=True)
        with Matrix(out, order) as whole:
            groups = estimate(whole, jobs)
            if dry_run:
                return Result(page=_estimate_page(groups), document=groups, as_json=as_json)
            if not quiet:
                for line in (
                    *_estimate_page(groups),
                    f"none begins after {_time(limit_s / 3600)} (--time-limit)  {whole.path}",
                ):
                    say_prose(line)
            _hunt(whole, jobs, limit_s, quiet=quiet)
            done, left = whole.done, len(whole.left)
    except MatrixError as error:
        fail(f"--out: {error}")
    except OSError as error:
        fail(f"--out: cannot keep a matrix in {out} ({error.strerror})")
    view = _view(done, order.mutants)
    tables = [comparison(_view(earlier, order.mutants), view)] if earlier else []
    _write_files(files, view, tables)
    notes = [f"{count(left, 'campaign')} left; the same command goes on ({whole.path})"] if left else []
    interrupted = interrupts.received() is not None
    page = matrix_page(view, columns(), tables)
    return Result(2 if left else 0, page, view, as_json, notes, interrupted=interrupted)


def _check_writable(files: Mapping[str, Path | None]) -> None:
    """Checks before the work that the files can be written, which come by their options."""
    for option, file in files.items():
        if file is not None and (file.is_dir() or not os.access(file.parent, os.W_OK)):
            fail(f"{option}: cannot write {file}; expected a file in an existing folder")


def _write_files(files: Mapping[str, Path | None], view: MatrixView, tables: Sequence[Table]) -> None:
    made = shlex.join(["raft-chaos", *sys.argv[1:]])
    if (file := files["--markdown"]) is not None:
        _write(file, matrix_markdown(view, made, tables), "--markdown")
    if (file := files["--html"]) is not None:
        from raft_chaos.reports.html.matrix import matrix_html  # a matrix hunts for hours before it needs this

        _write(file, matrix_html(view, made, tables), "--html")


def _hunt(whole: Matrix, jobs: int, limit_s: float, *, quiet: bool) -> None:
    if not whole.left:
        return
    from raft_chaos.chaos.processes.worker_pool import WorkerPool  # an estimate needs no processes

    with interrupts.held():
        pool = WorkerPool(jobs)
        try:
            for ended in whole.run(pool, jobs, limit_s, lambda: interrupts.received() is not None):
                if not quiet:
                    say_prose(_line(ended))
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _line(ended: Hunt) -> str:
    where = f"{ended.cell.world}{f' without {ended.cell.without}' if ended.cell.without else ''}"
    by = ", ".join(ended.violated) or "not convicted"
    return f"{ended.cell.mutant}  {where}  {by}  {count(ended.seeds, 'seed')}  {ended.spent_s:.1f} s"


def _estimate_page(groups: Sequence[Group]) -> list[str]:
    probably, at_most = (sum(getattr(one, name) for one in groups) for name in ("probably_h", "at_most_h"))
    return [
        *(
            f"{one.name}: {one.left} of {count(one.hunts, 'campaign')} left, about {_time(one.probably_h)}, "
            f"at most {_time(one.at_most_h)}"
            for one in groups
        ),
        f"in all about {_time(probably)}, at most {_time(at_most)}",
    ]


def _time(hours: float) -> str:
    return f"{hours:.1f} h" if hours >= 1 else f"{hours * 60:.0f} min"


def _earlier(file: Path | None) -> list[Hunt]:
    if file is None:
        return []
    try:
        return done_in(file)
    except MatrixError as error:
        fail(f"--compare: {error}")


def _view(hunts: Sequence[Hunt], mutants: Sequence[str]) -> MatrixView:
    from raft_chaos.chaos.reproduction.file import INVARIANTS  # it brings all checkers; the hunts have their own

    rows = [
        Hunted(
            mutant=one.cell.mutant,
            world=one.cell.world,
            without=one.cell.without,
            start=one.start,
            seeds=one.seeds,
            seconds=one.spent_s,
            violated=one.violated,
            parts=one.parts,
        )
        for one in sorted(hunts, key=lambda one: (one.cell.mutant, one.cell.world, one.cell.without, one.start))
    ]
    should = {mutant: list(MUTANTS[mutant].invariants) for mutant in mutants}
    sorts = {part: "episode" if part in EPISODES else "fault" for part in PARTS}
    return MatrixView(hunts=rows, mutants=should, invariants=list(INVARIANTS), parts=sorts)


def _known(option: str, chosen: Sequence[Any], there: Collection[str]) -> list[Any]:
    """What was chosen, in the order of what there is."""
    for name in chosen:
        if name not in there:
            no_such(option, name, there)
    return [name for name in there if name in chosen]


def _listed(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip() and word.strip() != "none"]


def _write(file: Path, text: str, option: str) -> None:
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        fail(f"{option}: cannot write {file} ({error.strerror})")
