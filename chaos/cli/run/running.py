"""Carries out `raft-chaos run`: a dry run, a campaign in sim, or one run after the other."""

from __future__ import annotations

import secrets
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import typer

from raft_chaos.chaos.cli import ends
from raft_chaos.chaos.cli.arguments import chosen_settings, given_options, make_folder
from raft_chaos.chaos.cli.common import parse_seeds, say, say_prose
from raft_chaos.chaos.cli.result import Result
from raft_chaos.chaos.cli.run.configuration import differing
from raft_chaos.chaos.cli.run.view import View
from raft_chaos.chaos.processes import interrupts
from raft_chaos.chaos.processes.shortage import SetupError
from raft_chaos.chaos.run import needs
from raft_chaos.chaos.run.directory import keep_what_failed
from raft_chaos.chaos.run.settings import Settings, describe, new_run_dir
from raft_chaos.chaos.run.worlds import run_in_world
from raft_chaos.chaos.schedule.data import Schedule
from raft_chaos.chaos.schedule.describe import drawn
from raft_chaos.invariants.rundir import RunDir, RunInfo

if TYPE_CHECKING:
    from raft_chaos.chaos.campaign.workers import Workers


@dataclass(frozen=True)
class Chosen:
    """What is to be run: the settings, the seeds, the saved schedule, if any, and the options that differ."""

    settings: Settings
    seeds: list[int]
    saved: Schedule | None
    differing: list[str]


@dataclass(frozen=True)
class Shown:
    """How it is shown, and whether a run ends at its first violation."""

    fail_fast: bool
    quiet: bool
    verbose: bool
    as_json: bool


def chosen(context: typer.Context, seed: int | None, seeds: str | None, **given: Any) -> Chosen:
    """What the options choose. Ends with exit code 254 if they cannot be used."""
    settings, saved = chosen_settings(given)
    settings = msgspec.structs.replace(settings, options=given_options(context))
    if seeds is not None:
        several = parse_seeds(seeds)
    else:
        several = [seed if seed is not None else saved.header.seed if saved else secrets.randbelow(1_000_000)]
    return Chosen(settings, several, saved, differing(context))


def dry_run(what: Chosen, shown: Shown) -> Result:
    from raft_chaos.chaos.cli.run import dry

    plans = ((seed, what.settings.plan(seed, what.saved)) for seed in what.seeds)
    return dry.dry_run(what.settings, plans, as_json=shown.as_json)


def campaign(
    what: Chosen,
    shown: Shown,
    out: Path,
    workers: Workers,
    max_failures: int | None,
    time_limit: float | None,
    *,
    compared: bool,
) -> Result:
    from raft_chaos.chaos.cli.run.campaign import run_campaign

    make_folder(out)
    _say_differing(what, shown)
    given = (what.settings, what.seeds, workers, out, max_failures, time_limit, shown.quiet, shown.as_json)
    return run_campaign(*given, compared=compared)


def runs(what: Chosen, shown: Shown, out: Path, repeat: int, time_limit: float | None) -> Result:
    make_folder(out)
    plans = [(seed, what.settings.plan(seed, what.saved)) for seed in what.seeds for _ in range(repeat)]
    for _, plan in plans:
        needs.require(what.settings.world, plan.header)  # all of them, before anything is made or said
    _say_differing(what, shown)
    with interrupts.time_limit(time_limit):
        done = _run_all(what.settings, plans, out, shown)
    from raft_chaos.chaos.cli.run import outcome

    return outcome.result(done, [seed for seed, _ in plans], quiet=shown.quiet, as_json=shown.as_json)


# ---- runs --------------------------------------------------------------------------------------------------------


def _say_differing(what: Chosen, shown: Shown) -> None:
    for line in [] if shown.quiet else what.differing:
        say_prose(line)


def _run_all(
    settings: Settings, plans: list[tuple[int, Schedule]], out: Path, shown: Shown
) -> list[tuple[RunDir, RunInfo]]:
    """One run after the other, until all are done or a signal comes, which ends the run under way in good order."""
    done: list[tuple[RunDir, RunInfo]] = []
    for seed, plan in plans:
        if shown.verbose:
            from raft_chaos.chaos.cli.run import dry

            for line in dry.page(settings, (seed, plan)):
                say(line)
        with interrupts.held():
            directory = new_run_dir(out, seed)
            info = describe(settings, seed, plan, directory)
            try:
                done.append((directory, _run_shown(settings, plan, directory, info, len(plans), shown)))
            except SetupError as error:
                error.add_note(f"what its nodes wrote is in {directory.path / 'nodes'}")
                raise
            except Exception as error:
                keep_what_failed(directory, info, error)
                raise
        if done[-1][1].verdict == "violated":
            ends.violation_known()
        if interrupts.received():
            break
    return done


def _run_shown(
    settings: Settings, plan: Schedule, directory: RunDir, info: RunInfo, runs: int, shown: Shown
) -> RunInfo:
    """One of `runs` runs, its progress, and its reports."""
    campaign = runs > 1
    if not shown.quiet and not campaign:
        _announce(info, plan, directory)
    # A campaign prints one line per run. Progress inside a run appears only on a terminal, and is erased there.
    with View(quiet=shown.quiet or (campaign and not sys.stderr.isatty())) as view:
        info = run_in_world(settings, plan, directory, info, fail_fast=shown.fail_fast, watch=view.watch)
    from raft_chaos.chaos.cli.run import outcome  # it makes pages, which a run does not wait for before it begins

    outcome.report(info, directory, in_a_line=campaign and not shown.quiet)
    return info


def _announce(info: RunInfo, plan: Schedule, directory: RunDir) -> None:
    """Prints the seed and everything that was drawn from it, before the run starts."""
    target = info.mutant or info.target
    say_prose(f"seed {info.seed}  world {info.world}  {len(info.nodes)} nodes  target {target}  {directory.path}")
    for line in drawn(plan):
        say_prose(f"  {line}")
