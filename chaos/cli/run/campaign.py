"""A campaign on the command line: its progress, each violation when it is found, and the result of all seeds.

The progress goes to stderr: on a terminal a bar that fits its width, elsewhere a line every ten seconds. The result
goes to stdout: a table, or one JSON document.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from raft_chaos.chaos.campaign.batch import SeedEnd
from raft_chaos.chaos.campaign.campaign import WINDOW_PER_JOB, Campaign
from raft_chaos.chaos.campaign.file import CampaignError, SeedFailed, seed_ranges
from raft_chaos.chaos.campaign.other_code import by_other_code
from raft_chaos.chaos.campaign.seed import SeedResult
from raft_chaos.chaos.campaign.workers import Workers
from raft_chaos.chaos.cli import ends
from raft_chaos.chaos.cli.common import fail, say_prose
from raft_chaos.chaos.cli.result import Result
from raft_chaos.chaos.cli.width import columns
from raft_chaos.chaos.run.settings import Settings
from raft_chaos.chaos.run.world import World
from raft_chaos.invariants.rundir import RunDir
from raft_chaos.reports.campaign.paired import FEWEST
from raft_chaos.reports.campaign.seeds import SeedTotals, seeds_document, seeds_markdown, seeds_text
from raft_chaos.reports.formats.github import on_github, publish
from raft_chaos.reports.run.model import build
from raft_chaos.reports.write import write_reports

PARALLEL: tuple[World, ...] = ("sim",)
"""The worlds in which many seeds can run at once."""

INTERRUPTED = "interrupted"
"""How `stopped` begins if a signal ended the campaign."""

LINE_EVERY_S = 10.0
MOST_SHOWN = 20
"""At most this many violations are shown when they are found; the campaign's file has all."""

MOST_REPORTED = 100
"""At most so many of the saved runs get their reports at once; `raft-chaos report` makes those of the others."""

NARROWEST_BAR = 10
WIDEST_BAR = 40


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
    return _result(campaign, totals, as_json=as_json)


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
                        write_reports(RunDir(Path(end.run)))
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


def _result(campaign: Campaign, totals: SeedTotals, *, as_json: bool) -> Result:
    """The page; its last line is the command that repeats a failure."""
    run = totals.worst.run if totals.worst is not None and on_github() else None
    published = publish([build(RunDir(Path(run)))] if run else [], seeds_markdown(totals))
    page = [*published, seeds_text(totals, columns()).removesuffix("\n")]
    document = {**seeds_document(totals), "file": str(campaign.path)}
    notes = [*published, totals.repro] if totals.repro else published
    notes = notes if as_json else []
    interrupted = totals.stopped.startswith(INTERRUPTED)
    return Result(totals.exit_code, page, document, as_json, notes, judged=True, interrupted=interrupted)


# ---- progress ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Progress:
    """The progress of a campaign: seeds with a result, those of them from earlier calls, and the time of this call."""

    done: int
    total: int
    earlier: int
    violated: int
    failed: int
    simulated_s: float
    elapsed_s: float

    def words(self) -> list[str]:
        """The parts of the line, the most important first: a narrow terminal shows only the first ones."""
        words = [f"{self.done}/{self.total}", f"{self.violated} violated"]
        if self.failed:
            words.append(f"{self.failed} failed")
        fresh = self.done - self.earlier
        if fresh and self.elapsed_s > 0:
            rate = fresh / self.elapsed_s
            words.append(f"{rate:.3g}/s" if rate < 1000 else f"{rate:.0f}/s")
            words.append(f"{_clock((self.total - self.done) / rate)} left")
            words.append(f"{self.simulated_s / self.elapsed_s:.0f} simulated s/s")
        return words

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """One line, at most as wide as the terminal. Two parts take precedence over the bar, the others do not."""
        room = options.max_width - NARROWEST_BAR - 2
        words = self.words()
        while len(words) > 2 and len("  ".join(words)) > room:
            words.pop()
        text = "  ".join(words)
        if len(text) > room:
            yield Text(text, no_wrap=True, overflow="ellipsis")
            return
        width = min(WIDEST_BAR, options.max_width - len(text) - 2)
        line = Table.grid(padding=(0, 2, 0, 0), pad_edge=False)
        line.add_row(ProgressBar(total=self.total, completed=self.done, width=width), Text(text, no_wrap=True))
        yield line


def _clock(seconds: float) -> str:
    """ "0:07", "12:34", "3:05:00"."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class CampaignView:
    """The progress view of one campaign, on stderr. Use it as a context manager. With `quiet` it prints nothing."""

    def __init__(self, totals: SeedTotals, *, quiet: bool) -> None:
        self._totals = totals
        self._quiet = quiet
        self._console = Console(stderr=True, highlight=False)
        self._live: Live | None = None
        self._began_s = self._last_line_s = time.monotonic()
        self._earlier = totals.done
        self._earlier_simulated_s = self._simulated_s()
        self._shown = 0

    def __enter__(self) -> CampaignView:
        if not self._quiet and self._console.is_terminal:
            self._live = Live(console=self._console, get_renderable=self.progress, transient=True)
            self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.__exit__(kind, error, trace)
            self._live = None

    def progress(self) -> Progress:
        totals = self._totals
        return Progress(
            done=totals.done,
            total=totals.total,
            earlier=self._earlier,
            violated=totals.outcomes["violated"],
            failed=len(totals.failed),
            simulated_s=self._simulated_s() - self._earlier_simulated_s,
            elapsed_s=time.monotonic() - self._began_s,
        )

    def show(self, end: SeedEnd) -> None:
        """Call this when a seed has ended and is already in the totals."""
        if self._quiet:
            return
        if isinstance(end, SeedFailed):
            self._print(f"HARNESS FAILED on seed {end.seed}: {end.error}", end.repro)
        elif end.verdict == "violated":
            self._violation(end)
        now_s = time.monotonic()
        if self._live is None and now_s >= self._last_line_s + LINE_EVERY_S:
            self._last_line_s = now_s
            self._console.print("  ".join(self.progress().words()), soft_wrap=True, markup=False)

    def _violation(self, result: SeedResult) -> None:
        self._shown += 1
        if self._shown <= MOST_SHOWN:
            self._print(f"VIOLATED seed {result.seed}: {', '.join(result.violated)}", result.run or "", result.repro)
        if self._shown == MOST_SHOWN:
            self._print("further violations are not shown here; the campaign's file has all of them")

    def _print(self, headline: str, *details: str) -> None:
        # Never wrapped by rich: a command that is copied from a terminal must not contain line ends.
        self._console.print(Text(headline, style="bold red"), soft_wrap=True)
        for detail in details:
            self._console.print(Text(f"  {detail}"), soft_wrap=True)

    def _simulated_s(self) -> float:
        amount = self._totals.amounts.get("simulated_s")
        return 0.0 if amount is None else amount.total
