"""`raft-chaos effects`: runs each kind of fault in each world, and says whether it had an effect."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from raft_chaos.chaos.campaign.effects import Effects, Place, kinds_at, measure_all
from raft_chaos.chaos.cli.common import fail, no_such, refusing, say_prose
from raft_chaos.chaos.cli.result import Result
from raft_chaos.chaos.cli.width import columns
from raft_chaos.chaos.faults.abilities import OF_NETWORK
from raft_chaos.chaos.faults.catalogue import FAULT_KINDS
from raft_chaos.chaos.processes import interrupts
from raft_chaos.chaos.processes.worker_pool import WorkerPool
from raft_chaos.chaos.run.world import WORLDS, World
from raft_chaos.reports.campaign.effects import effects_markdown, effects_page
from raft_chaos.reports.text import count

SEEDS = 10


def effects(
    kinds: Annotated[
        list[str] | None, typer.Argument(metavar="KIND", help="Which kinds of faults.", show_default="all")
    ] = None,
    worlds: Annotated[str, typer.Option(metavar="WORLD,...", help="Some of sim, lockstep, live.")] = ",".join(WORLDS),
    target: Annotated[
        str | None, typer.Option(metavar="TARGET", help="Also live with this target, behind each of --networks.")
    ] = None,
    networks: Annotated[
        str, typer.Option(metavar="NETWORK,...", help="The networks between the target's nodes.")
    ] = "tcp,netns",
    seeds: Annotated[
        int, typer.Option(min=1, max=1000, metavar="N", help="Seeds with each kind in sim; a fifth elsewhere.")
    ] = SEEDS,
    jobs: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="How many processes in sim.", show_default="all cores")
    ] = None,
    markdown: Annotated[Path | None, typer.Option(metavar="FILE", help="Also write the tables as Markdown.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress; only the result.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON list on stdout.")] = False,
) -> Result:
    """Shows that each kind of fault has an effect, in each world.

    Each kind is drawn with kills alone, in seeds whose schedules have it. The unmodified core runs, so no run may be
    violated.

    Exit codes: 0 each kind had an effect wherever it exists, 1 one had none or a run was violated, 2 a place is not on
    this machine, 130 interrupted, 254 bad arguments, 255 the harness itself failed.
    """
    chosen = kinds or list(FAULT_KINDS)
    for kind in chosen:
        if kind not in FAULT_KINDS:
            no_such("KIND", kind, FAULT_KINDS)
    if markdown is not None and (markdown.is_dir() or not os.access(markdown.parent, os.W_OK)):
        fail(f"--markdown: cannot write {markdown}; expected a file in an existing folder")
    places = _places(worlds, target, networks)
    if not any(kind in kinds_at(place) for place in places for kind in chosen):
        fail(f"KIND: none of these exists in {', '.join(place.name for place in places)}: {', '.join(chosen)}")
    jobs = jobs or os.cpu_count() or 1
    found = _measured(places, chosen, seeds, jobs, quiet=quiet)
    interrupted = interrupts.received() is not None
    if markdown is not None and not interrupted:
        made = shlex.join(["raft-chaos", *sys.argv[1:]])
        try:
            markdown.write_text(effects_markdown(found, made), encoding="utf-8")
        except OSError as error:
            fail(f"--markdown: cannot write {markdown} ({error.strerror})")
    wrong = any(one.is_inert or one.violated for one in found)
    code = 1 if wrong else 2 if any(one.lacking for one in found) else 0
    return Result(code, effects_page(found, columns()), found, as_json, interrupted=interrupted)


def _measured(places: Sequence[Place], kinds: Sequence[str], seeds: int, jobs: int, *, quiet: bool) -> list[Effects]:
    found: list[Effects] = []
    with interrupts.held():
        pool = WorkerPool(jobs)
        try:
            for one in measure_all(places, kinds, seeds, pool, lambda: interrupts.received() is not None):
                found.append(one)
                if not quiet:
                    met = one.exposure
                    said = (
                        one.lacking or f"{met.effective} of {met.injected} with an effect in {count(one.drawn, 'run')}"
                    )
                    say_prose(f"{one.place}  {one.kind}  {said}")
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
    return found


def _places(worlds: str, target: str | None, networks: str) -> list[Place]:
    chosen: list[World] = [
        world for world in ("sim", "lockstep", "live") if world in _listed(worlds, "--worlds", WORLDS)
    ]
    places = [Place(world=world) for world in chosen]
    if target is not None:
        names = _listed(networks, "--networks", list(OF_NETWORK))
        places += [Place(world="live", target=target, network=network) for network in names]
    with refusing():
        for place in places:
            kinds_at(place)
    return places


def _listed(text: str, option: str, there: Sequence[str]) -> list[str]:
    names = [word.strip() for word in text.split(",") if word.strip()]
    if not names:
        fail(f"{option}: expected some of {', '.join(there)}, got {text!r}")
    for name in names:
        if name not in there:
            no_such(option, name, there)
    return names
