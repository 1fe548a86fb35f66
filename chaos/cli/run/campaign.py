"""A campaign on the command line: its progress, each violation when it is found, and the result of all seeds.

The progress goes to stderr (`campaign_view`). The result goes to stdout: a table, or one JSON document.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from raft_chaos.chaos.campaign.campaign import WINDOW_PER_JOB, Campaign
from raft_chaos.chaos.campaign.file import CampaignError, SeedFailed, seed_ranges
from raft_chaos.chaos.campaign.other_code import by_other_code
from raft_chaos.chaos.campaign.seed_result import SeedResult
from raft_chaos.chaos.campaign.workers import Workers
from raft_chaos.chaos.cli import ends
from raft_chaos.chaos.cli.common import fail, say_prose
from raft_chaos.chaos.cli.result import Result
from raft_chaos.chaos.cli.run.campaign_view import CampaignView
from raft_chaos.chaos.run.settings import Settings
from raft_chaos.chaos.run.world import World
from raft_chaos.reports.campaign.paired import FEWEST
from raft_chaos.reports.campaign.seeds import SeedTotals

PARALLEL: tuple[World, ...] = ("sim",)
"""The worlds in which many seeds can run at once."""

INTERRUPTED = "interrupted"
"""How `stopped` begins if a signal ended the campaign."""

MOST_REPORTED = 100
"""At most so many of the saved runs get their reports at once; `raft-chaos report` makes those of the others."""


def run_campaign(
    settings: Settings,
    seeds: Sequence[int],
    workers: Workers,
    out: Path,
    max_failures: int | None,
    time_limit_s: float | None,
    quiet: bool,
    as_json: bool,
    *,
    compared: bool = False,
) -> Result:
    """Runs the seeds by these workers. `compared` is the option `--compare-leaderships`. Raises typer.Exit for bad
    arguments, for a file in `out` that cannot be used, and for workers that have other code.
    """
    _check(settings, max_failures, time_limit_s)
    if compared:
        _check_compared(settings, seeds)
    try:
        campaign = Campaign(
            settings,
            seeds,
            out,
            compared=compared,
            max_failures=max_failures,
            time_limit_s=time_limit_s,
        )
    except CampaignError as error:
        fail(f"--out: {error}")
    except OSError as error:
        fail(f"--out: cannot write a campaign's file in {out} ({error.strerror})")
    target = settings.target().name + (f" with mutant {settings.mutant}" if settings.mutant else "")
    totals = SeedTotals(world=settings.world, target=target, seeds=campaign.header.seeds, total=len(campaign.seeds))
    totals.file = str(campaign.path)
    with campaign:
        if not quiet:
            _announce(campaign, totals, workers.jobs)
        try:
            _go(campaign, totals, workers, quiet=quiet)
        except CampaignError as error:
            fail(str(error))
    from raft_chaos.chaos.cli.run import campaign_outcome

    interrupted = totals.stopped.startswith(INTERRUPTED)
    return campaign_outcome.result(campaign, totals, as_json=as_json, interrupted=interrupted)


def _check(settings: Settings, max_failures: int | None, time_limit_s: float | None) -> None:
    if settings.world not in PARALLEL:
        fail(f"--world: a parallel campaign needs one of {', '.join(PARALLEL)}, got {settings.world}")
    if settings.schedule_file is not None:
        fail("--schedule: a campaign draws its schedules from its seeds")
    if max_failures is not None and max_failures < 1:
        fail(f"--max-failures: expected at least 1, got {max_failures}")
    if time_limit_s is not None and not time_limit_s > 0:
        fail(f"--time-limit: expected more than 0 seconds, got {time_limit_s:g}")


def _check_compared(settings: Settings, seeds: Sequence[int]) -> None:
    if settings.mutant is None:
        fail("--compare-leaderships: it compares a mutant with our Raft without the mistake; name one with --mutant")
    if len(set(seeds)) < FEWEST:
        fail(f"--compare-leaderships: an interval needs at least {FEWEST} seeds; give more with --seeds A..B")


def _announce(campaign: Campaign, totals: SeedTotals, jobs: int) -> None:
    say_prose(
        f"seeds {totals.seeds}  {totals.total} in all  {totals.world}  target {totals.target}  "
        f"{jobs} at once  {campaign.path}"
    )
    if campaign.resumed:
        say_prose(
            f"continuing a campaign that was stopped: {campaign.resumed} seeds already have a result; to start over, "
            f"remove {campaign.path}"
        )
    if campaign.kept is not None:
        say_prose(f"this campaign was complete and starts again; its earlier results are kept in {campaign.kept}")
    if not campaign.resumed and (other := by_other_code(campaign.out, campaign.header)) is not None:
        file, header = other
        version = f"commit {header.commit}, Python {header.python}" if header.commit else f"Python {header.python}"
        say_prose(
            f"{file} has this campaign by another version of the code or of Python ({version}), which may give other "
            "results: this one starts over; to continue that one, give the same command with that version"
        )


def _go(campaign: Campaign, totals: SeedTotals, workers: Workers, *, quiet: bool) -> None:
    """Runs the campaign to its end, or until the user interrupts it."""
    reported = 0
    run = campaign.run(workers.open, WINDOW_PER_JOB * workers.jobs, far=workers.far)
    try:
        for result in campaign.earlier():
            _observe(totals, result)
        # Closed even if Ctrl-C comes between two results, since closing ends the workers.
        with CampaignView(totals, quiet=quiet) as view, closing(run) as ends:
            for end in ends:
                if isinstance(end, SeedFailed):
                    totals.observe_failure(end.seed, end.error, end.repro)
                else:
                    _observe(totals, end)
                    if end.run is not None and (reported := reported + 1) <= MOST_REPORTED:
                        from raft_chaos.chaos.cli.run import campaign_outcome  # most campaigns make no pages

                        campaign_outcome.report(end.run)
                view.show(end)
        totals.stopped = campaign.stopped
    except KeyboardInterrupt:
        totals.stopped = INTERRUPTED
    if campaign.given_up:
        totals.stopped += f"; given up before they ended: {seed_ranges(campaign.given_up)}"


def _observe(totals: SeedTotals, result: SeedResult) -> None:
    totals.observe(result)
    if result.verdict == "violated":
        ends.violation_known()
