"""The progress of a campaign, on stderr: on a terminal a bar (`campaign_bar`), elsewhere a line every ten seconds; and
each violation when it is found."""

from __future__ import annotations

import time
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING

from raft_chaos.chaos.campaign.batch import SeedEnd
from raft_chaos.chaos.campaign.file import SeedFailed
from raft_chaos.chaos.campaign.seed_result import SeedResult
from raft_chaos.chaos.cli import terminal
from raft_chaos.chaos.cli.common import say
from raft_chaos.reports.campaign.seeds import SeedTotals

if TYPE_CHECKING:
    from rich.live import Live

LINE_EVERY_S = 10.0
MOST_SHOWN = 20
"""At most this many violations are shown when they are found; the campaign's file has all."""


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
        self._console = terminal.console()
        self._live: Live | None = None
        self._began_s = self._last_line_s = time.monotonic()
        self._earlier = totals.done
        self._earlier_simulated_s = self._simulated_s()
        self._shown = 0

    def __enter__(self) -> CampaignView:
        if not self._quiet and self._console is not None:
            from raft_chaos.chaos.cli.run.campaign_bar import bar

            self._live = bar(self._console, self.progress)
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
            say("  ".join(self.progress().words()))

    def _violation(self, result: SeedResult) -> None:
        self._shown += 1
        if self._shown <= MOST_SHOWN:
            self._print(f"VIOLATED seed {result.seed}: {', '.join(result.violated)}", result.run or "", result.repro)
        if self._shown == MOST_SHOWN:
            self._print("further violations are not shown here; the campaign's file has all of them")

    def _print(self, headline: str, *details: str) -> None:
        if self._console is None:
            for line in (headline, *(f"  {detail}" for detail in details)):
                say(line)
            return
        from raft_chaos.chaos.cli.run.campaign_bar import write

        write(self._console, headline, details)

    def _simulated_s(self) -> float:
        amount = self._totals.amounts.get("simulated_s")
        return 0.0 if amount is None else amount.total
