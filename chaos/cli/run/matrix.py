"""`raft-chaos matrix`: hunts each mutant, and says which invariant convicts it and which kinds of fault that needs."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from raft_chaos.chaos.cli.common import fail, no_such, parse_duration_s, say_prose
from raft_chaos.chaos.cli.result import Result
from raft_chaos.chaos.cli.width import columns
from raft_chaos.chaos.faults.catalogue import VIRTUAL_KINDS
from raft_chaos.chaos.matrix.hunt import Hunt
from raft_chaos.chaos.matrix.matrix import Matrix, MatrixError, file_in, jobs_of
from raft_chaos.chaos.mutants import MUTANTS
from raft_chaos.chaos.processes import interrupts
from raft_chaos.chaos.processes.worker_pool import WorkerPool
from raft_chaos.chaos.reproduction.file import INVARIANTS
from raft_chaos.chaos.run.world import WORLDS, World
from raft_chaos.reports.campaign.matrix import Hunted, MatrixView, matrix_markdown, matrix_page
from raft_chaos.reports.html.matrix import matrix_html
from raft_chaos.reports.text import count

HUNTS, BUDGET, TIME_LIMIT = 10, "60s", "4h"


def matrix(
    mutants: Annotated[
        list[str] | None, typer.Argument(metavar="MUTANT", help="Which mutants.", show_default="all")
    ] = None,
    worlds: Annotated[str, typer.Option(metavar="WORLD,...", help="Some of sim, lockstep, live.")] = "sim",
    hunts: Annotated[int, typer.Option(min=1, max=100, metavar="N", help="How many campaigns each, in sim.")] = HUNTS,
    budget: Annotated[
        str, typer.Option(metavar="TIME", help="CPU time of one campaign; real time elsewhere.")
    ] = BUDGET,
    without: Annotated[
        str | None,
        typer.Option(
            metavar="KIND,...", help="Kinds of faults to leave out, one at a time; none.", show_default="each"
        ),
    ] = None,
    time_limit: Annotated[str, typer.Option(metavar="TIME", help="Begin no campaign after that time.")] = TIME_LIMIT,
    jobs: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="How many processes.", show_default="all cores")
    ] = None,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Its file is kept here; the same command goes on.")] = Path(
        "runs"
    ),
    markdown: Annotated[Path | None, typer.Option(metavar="FILE", help="Also write the tables as Markdown.")] = None,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Also write the page.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress; only the result.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> Result:
    """Hunts each mutant: who convicts it, and what that needs.

    Each mutant has several campaigns in sim, and some in which the schedules leave out a kind of fault.

    Exit codes: 0 every campaign ended, 2 some are left (the same command goes on), 130 interrupted, 254 bad arguments.
    """
    chosen, kinds = mutants or list(MUTANTS), _listed(without, VIRTUAL_KINDS)
    for mutant in chosen:
        if mutant not in MUTANTS:
            no_such("MUTANT", mutant, MUTANTS)
    for kind in kinds:
        if kind not in VIRTUAL_KINDS:
            no_such("--without", kind, VIRTUAL_KINDS)
    for file, option in ((markdown, "--markdown"), (html, "--html")):
        if file is not None and (file.is_dir() or not os.access(file.parent, os.W_OK)):
            fail(f"{option}: cannot write {file}; expected a file in an existing folder")
    jobs = jobs or os.cpu_count() or 1
    wanted = jobs_of(chosen, _worlds(worlds), kinds, hunts)
    try:
        out.mkdir(parents=True, exist_ok=True)
        whole = Matrix(
            file_in(out),
            wanted,
            parse_duration_s(budget, "--budget"),
            parse_duration_s(time_limit, "--time-limit"),
        )
        _hunt(whole, len(wanted), jobs, quiet=quiet)
    except MatrixError as error:
        fail(f"--out: {error}")
    except OSError as error:
        fail(f"--out: cannot keep a matrix in {out} ({error.strerror})")
    view = _view(whole.done, chosen)
    made = shlex.join(["raft-chaos", *sys.argv[1:]])
    _write(markdown, matrix_markdown(view, made), "--markdown")
    _write(html, matrix_html(view, made), "--html")
    left = len(wanted) - len(whole.done)
    notes = (
        [f"{left} of {count(len(wanted), 'campaign')} left; the same command goes on ({whole.file})"] if left else []
    )
    interrupted = interrupts.received() is not None
    return Result(2 if left else 0, matrix_page(view, columns()), view, as_json, notes, interrupted=interrupted)


def _hunt(whole: Matrix, wanted: int, jobs: int, *, quiet: bool) -> None:
    if not quiet:
        say_prose(f"{count(wanted, 'campaign')}, {len(whole.left)} left  {jobs} at once  {whole.file}")
    if not whole.left:
        return
    with interrupts.held():
        pool = WorkerPool(jobs)
        try:
            for number, ended in enumerate(whole.run(pool, jobs, lambda: interrupts.received() is not None), 1):
                if not quiet:
                    say_prose(f"{number}/{len(whole.left)}  {_line(ended)}")
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _line(ended: Hunt) -> str:
    where = f"{ended.cell.world}{f' without {ended.cell.without}' if ended.cell.without else ''}"
    by = ", ".join(ended.violated) or "not convicted"
    return f"{ended.cell.mutant}  {where}  {by}  {count(ended.seeds, 'seed')}  {ended.spent_s:.1f} s"


def _view(hunts: Sequence[Hunt], mutants: Sequence[str]) -> MatrixView:
    rows = [
        Hunted(
            mutant=one.cell.mutant,
            world=one.cell.world,
            without=one.cell.without,
            seeds=one.seeds,
            seconds=one.spent_s,
            violated=one.violated,
        )
        for one in sorted(hunts, key=lambda one: (one.cell.mutant, one.cell.world, one.cell.without, one.start))
    ]
    should = {mutant: list(MUTANTS[mutant].invariants) for mutant in mutants}
    return MatrixView(hunts=rows, mutants=should, invariants=list(INVARIANTS))


def _worlds(text: str) -> list[World]:
    chosen = _listed(text, WORLDS)
    if not chosen:
        fail(f"--worlds: expected some of {', '.join(WORLDS)}, got {text!r}")
    for world in chosen:
        if world not in WORLDS:
            no_such("--worlds", world, WORLDS)
    return [world for world in WORLDS if world in chosen]


def _listed(text: str | None, default: Sequence[str]) -> list[str]:
    if text is None:
        return list(default)
    return [word.strip() for word in text.split(",") if word.strip() and word.strip() != "none"]


def _write(file: Path | None, text: str, option: str) -> None:
    if file is None:
        return
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        fail(f"{option}: cannot write {file} ({error.strerror})")
