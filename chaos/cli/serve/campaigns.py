"""Campaigns, from their files."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from urllib.parse import quote

from raft_chaos.chaos.campaign.file import CampaignEnd, CampaignHeader, SeedFailed, decode_line, seeds_of
from raft_chaos.chaos.campaign.seed_result import SeedResult
from raft_chaos.chaos.cli.read.saved import totals_of
from raft_chaos.chaos.cli.serve.growing import Growing
from raft_chaos.reports.campaign.seeds import SeedTotals
from raft_chaos.reports.html.campaign import MOST_CELLS, Cell, seed_cell, served_seeds_page


class Campaign(Growing[CampaignHeader | SeedResult | SeedFailed | CampaignEnd]):
    """One campaign's file."""

    what = "a campaign"

    def __init__(self, file: Path) -> None:
        super().__init__(file, decode_line)
        self._header: CampaignHeader | None = None
        self._results: dict[int, SeedResult] = {}
        self._failed: dict[int, SeedFailed] = {}
        self._cells: dict[int, Cell] = {}
        self._totals: SeedTotals | None = None
        self._ended = False

    @property
    def totals(self) -> SeedTotals:
        if self._totals is None:
            assert self._header is not None
            self._totals = self._summed(self._header)
        return self._totals

    def page(self) -> str:
        pending = self._pending() if self.goes_on else None
        return served_seeds_page(self.totals, list(self._cells.values()), pending)

    @property
    def _has_begun(self) -> bool:
        return self._header is not None

    @property
    def _has_ended(self) -> bool:
        return self._ended

    def _take(self, line: CampaignHeader | SeedResult | SeedFailed | CampaignEnd) -> None:
        match line:
            case CampaignHeader():
                self._header = line
            case CampaignEnd():
                self._ended = True
            case SeedFailed():
                self._failed[line.seed] = line
                self._totals = None  # the next attempt may have a result
            case SeedResult():
                again = self._results.pop(line.seed, None) or self._failed.pop(line.seed, None)
                self._results[line.seed] = line
                self._cells[line.seed] = self._cell(line)
                if again is not None:
                    self._totals = None
                elif self._totals is not None:
                    self._totals.observe(line)

    def _summed(self, header: CampaignHeader) -> SeedTotals:
        totals = totals_of(header, self.file, len(self._results) + len(self._failed))
        for result in self._results.values():
            totals.observe(result)
        for failed in self._failed.values():
            totals.observe_failure(failed.seed, failed.error, failed.repro)
        return totals

    def _cell(self, result: SeedResult) -> Cell:
        """It leads to the run's page, if the run is in the same folder."""
        run = self.file.parent / Path(result.run).name if result.run else None
        if run is None or run.is_symlink() or not (run / "run.json").is_file():
            return seed_cell(result, None, "")
        return seed_cell(result, run, f"/runs/{quote(run.name, safe='')}/")

    def _pending(self) -> list[int]:
        """The first of the seeds that have not ended."""
        assert self._header is not None
        every = (seed for first, last in seeds_of(self._header) for seed in range(first, last + 1))
        return list(islice((seed for seed in every if seed not in self._results), MOST_CELLS))
