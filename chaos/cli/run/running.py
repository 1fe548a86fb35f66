"""Carries out `raft-chaos run`: a dry run, a campaign in sim, or one run after the other."""

from __future__ import annotations

import secrets
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import typer

from raft_chaos.chaos.campaign.file import seed_ranges
from raft_chaos.chaos.campaign.workers import Workers
from raft_chaos.chaos.cli import ends
from raft_chaos.chaos.cli.arguments import chosen_settings, given_options, make_folder
from raft_chaos.chaos.cli.common import parse_seeds, say, say_prose
from raft_chaos.chaos.cli.result import Result
from raft_chaos.chaos.cli.run import dry
from raft_chaos.chaos.cli.run.campaign import run_campaign
from raft_chaos.chaos.cli.run.configuration import differing
from raft_chaos.chaos.cli.run.view import View
from raft_chaos.chaos.cli.width import columns
from raft_chaos.chaos.judgement.vacuity import INTERRUPTED
from raft_chaos.chaos.processes import interrupts
from raft_chaos.chaos.processes.shortage import SetupError
from raft_chaos.chaos.run import needs
from raft_chaos.chaos.run.directory import keep_what_failed
from raft_chaos.chaos.run.settings import Settings, describe, new_run_dir, program, was_scheduled
from raft_chaos.chaos.run.worlds import run_in_world
from raft_chaos.chaos.schedule.data import Schedule
from raft_chaos.chaos.schedule.describe import drawn
from raft_chaos.invariants.rundir import RunDir, RunInfo
from raft_chaos.invariants.verdict import EXIT_CODE, Outcome, overall
from raft_chaos.reports.campaign.runs import brief, one_line
from raft_chaos.reports.commands.verdicts import next_commands
from raft_chaos.reports.formats.github import on_github, publish
from raft_chaos.reports.formats.json import campaign_document, run_document
from raft_chaos.reports.run.model import RunReport, build
from raft_chaos.reports.write import FILE_OF, Format, render_campaign, render_report, write_reports


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
    return _result(done, [seed for seed, _ in plans], quiet=shown.quiet, as_json=shown.as_json)


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
    write_reports(directory)
    if campaign and not shown.quiet:
        say_prose(one_line(info, directory.path))
    return info


def _announce(info: RunInfo, plan: Schedule, directory: RunDir) -> None:
    """Prints the seed and everything that was drawn from it, before the run starts."""
    target = info.mutant or info.target
    say_prose(f"seed {info.seed}  world {info.world}  {len(info.nodes)} nodes  target {target}  {directory.path}")
    for line in drawn(plan):
        say_prose(f"  {line}")


def _result(done: list[tuple[RunDir, RunInfo]], seeds: list[int], *, quiet: bool, as_json: bool) -> Result:
    """The report (`quiet`: a line for each run), with the seed or the command that repeats a failure in its last line.
    `seeds`: of all planned runs."""
    outcomes: list[Outcome] = [info.verdict or "unknown" for _, info in done]
    cut_short = any(INTERRUPTED in reason for _, info in done for reason in info.vacuous)
    interrupted = cut_short or len(done) < len(seeds)
    exit_code = EXIT_CODE[overall([*outcomes, "unknown"] if interrupted else outcomes)]
    stopped = _left(seeds, len(done) - cut_short) if interrupted and len(seeds) > 1 else []
    reports = [build(directory) for directory, _ in done]
    page = _rendered(reports, "text").removesuffix("\n")
    document = campaign_document(reports) if len(reports) > 1 else run_document(reports[0])
    published = publish(reports, _rendered(reports, "markdown")) if on_github() else []
    notes = [*(published if as_json else []), *_how_to_go_on(done, as_json=as_json), *stopped]
    shown = [*published, *(_briefly(done) if quiet else [page, *_where_saved(done)])]
    return Result(exit_code, shown, document, as_json, notes, judged=True, interrupted=interrupted)


def _briefly(done: list[tuple[RunDir, RunInfo]]) -> list[str]:
    """The result with --quiet: what stands in each report's first lines, and the command that repeats the worst run."""
    lines = [line for directory, info in done for line in brief(info, directory.path)]
    failed = [info for _, info in done if info.verdict != "valid"]
    worst = next((info for info in failed if info.verdict == "violated"), next(iter(failed), None))
    return [*lines, worst.repro] if worst is not None else lines


def _left(seeds: list[int], complete: int) -> list[str]:
    """What an interrupted series of runs has left to do."""
    left = seed_ranges(list(dict.fromkeys(seeds[complete:])))
    return [f"{complete} of {len(seeds)} runs are done; to go on, give the same command with --seeds {left}"]


def _rendered(reports: list[RunReport], shape: Format) -> str:
    if len(reports) > 1:
        return render_campaign(reports, shape, columns())
    return render_report(reports[0], shape, columns())


def _where_saved(done: list[tuple[RunDir, RunInfo]]) -> list[str]:
    """The last lines of a page without failures."""
    if any(info.verdict != "valid" for _, info in done):
        return []
    (first, first_info), (_, last_info) = done[0], done[-1]
    if len(done) == 1:
        return ["", f"seed {first_info.seed}: valid; everything is saved in {first.path}"]
    return ["", f"seeds {first_info.seed} to {last_info.seed}: valid; everything is saved in {first.path.parent}"]


def _how_to_go_on(done: list[tuple[RunDir, RunInfo]], *, as_json: bool) -> list[str]:
    """The commands that show more about the first failure."""
    failed = next(((run, info) for run, info in done if info.verdict == "violated"), None)
    if failed is None:
        return []
    run, info = failed
    lines = next_commands(program(), run.path, columns(), can_shrink=was_scheduled(info))
    lines += [f"As a picture: {run.path / FILE_OF['html']}"]
    return [*lines, info.repro] if as_json else lines
