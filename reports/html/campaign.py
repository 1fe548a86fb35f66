"""The page of several runs: each seed as a cell, coloured by its verdict, and the failures in groups.

campaign_page(reports)             of runs that were read already
seeds_page(totals, results, ...)   of a campaign's file, which knows more seeds than have a run directory
served_seeds_page(totals, cells, ...)   the same, shown by a server; `seed_cell` makes the cells, as seeds end
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from urllib.parse import quote

import msgspec

from raft_chaos.invariants.rundir import RunDir, RunDirError
from raft_chaos.invariants.verdict import Outcome
from raft_chaos.reports.campaign.exposure import inert
from raft_chaos.reports.campaign.groups import TITLE, shape
from raft_chaos.reports.campaign.runs import (
    campaign_exposure,
    campaign_tables,
    campaign_verdict,
    first_failure,
    runs_headline,
    runs_table,
)
from raft_chaos.reports.campaign.seeds import SeedLike, SeedTotals, seeds_caveats, seeds_headline, seeds_tables
from raft_chaos.reports.html.page import REPORT, Served, page
from raft_chaos.reports.run.layout import vacuous
from raft_chaos.reports.run.model import RunReport, worst_first
from raft_chaos.reports.run.pages import repro
from raft_chaos.reports.tables import Table
from raft_chaos.reports.text import count, visible

MOST_CELLS = 5_000
MOST_OF_A_GROUP = 24
LONGEST_SENTENCE = 240


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """One seed. `found` names the invariant that was violated first, or is "" ; `sentence` says what was found.

    `link` leads to its report, seen from the folder in which the page is made; "" if it has none.
    """

    seed: int
    verdict: Outcome
    found: str = ""
    sentence: str = ""
    link: str = ""

    @property
    def label(self) -> str:
        what = f": {self.found}" if self.found else ""
        return f"seed {self.seed}, {self.verdict}{what}"


class Pending(msgspec.Struct, frozen=True):
    """A seed that has not ended yet."""

    seed: int
    verdict: str = "pending"
    link: str = ""
    label: str = "not ended yet"


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """Seeds that failed alike: the same invariant first, and the same sentence but for its numbers."""

    verdict: Outcome
    found: str
    sentence: str
    cells: list[Cell]

    @property
    def shown(self) -> list[Cell]:
        return self.cells[:MOST_OF_A_GROUP]


class CampaignPage(msgspec.Struct, frozen=True, kw_only=True):
    """What the template `campaign.html.j2` shows."""

    verdict: str
    headline: str
    caveats: list[str]
    first: str
    command: str
    cells: list[Cell | Pending]
    left_out: str
    groups: list[Group]
    tables: list[tuple[str, Table]]
    pending: bool


def campaign_page(reports: Sequence[RunReport]) -> str:
    """The page of these runs, as one HTML document."""
    cells = [_of_report(report) for report in reports]
    failure = first_failure(reports)
    return _page(
        verdict=campaign_verdict(reports),
        headline=runs_headline(reports),
        caveats=[visible(one) for one in [inert(campaign_exposure(reports))] if one],
        first=f"First failure: seed {failure.info.seed}" if failure else "",
        command=repro(failure) if failure else "",
        cells=cells,
        tables=[runs_table(reports), *campaign_tables(reports)] if reports else [],
    )


def seeds_page(totals: SeedTotals, results: Iterable[SeedLike], folder: Path) -> str:
    """The page of a campaign. `folder` has its run directories, if they are no longer where the results say."""
    return _seeds_page(totals, [_of_result(result, folder) for result in results])


def seed_cell(result: SeedLike, run: Path | None, link: str) -> Cell:
    """The cell of a seed, whose run directory is `run` and whose page is at `link`, if there are such."""
    said = result.found or (_first_message(run) if run is not None and result.violated else "")
    unsure = [*result.vacuous, *(f"{invariant} could not be judged" for invariant in result.unknown)]
    sentence = said or (unsure[0] if unsure and result.verdict == "unknown" else "")
    found = visible(result.violated[0]) if result.violated else ""
    return Cell(seed=result.seed, verdict=result.verdict, found=found, sentence=_short(sentence), link=link)


def served_seeds_page(totals: SeedTotals, cells: list[Cell], pending: Sequence[int] | None) -> str:
    """The page of a campaign as a server shows it. `pending` are the first of the seeds that have not ended yet, in a
    campaign that goes on; None: it does not."""
    return _seeds_page(
        totals, cells, pending, Served(links=[("/", "All runs")], every_ms=0 if pending is None else 2_000)
    )


def _seeds_page(
    totals: SeedTotals, cells: list[Cell], pending: Sequence[int] | None = None, served: Served | None = None
) -> str:
    worst = totals.worst
    goes_on = pending is not None
    return _page(
        verdict="running" if goes_on and totals.verdict == "unknown" else totals.verdict,
        headline=seeds_headline(totals),
        caveats=[] if goes_on else seeds_caveats(totals),
        first=f"First {worst.verdict}: seed {worst.seed}" if worst is not None else "",
        command=totals.repro,
        cells=cells,
        tables=seeds_tables(totals),
        pending=pending,
        served=served,
    )


def _page(
    *,
    verdict: str,
    headline: str,
    caveats: list[str],
    first: str,
    command: str,
    cells: list[Cell],
    tables: list[Table],
    pending: Sequence[int] | None = None,
    served: Served | None = None,
) -> str:
    shown = sorted(cells, key=lambda cell: (worst_first(cell.verdict), cell.seed))[:MOST_CELLS]
    left_out, room = len(cells) - len(shown), MOST_CELLS - len(shown)
    content = CampaignPage(
        verdict=verdict,
        headline=_without_verdict(visible(headline)),
        caveats=[visible(line) for line in caveats],
        first=visible(first),
        command=command,
        cells=sorted([*shown, *map(Pending, (pending or ())[:room])], key=lambda cell: cell.seed),
        left_out=f"{count(left_out, 'more seed')} without a cell; the failures come first." if left_out else "",
        groups=_groups(cells),
        pending=bool(pending),
        tables=[(_anchor(table), table) for table in tables if table.title != TITLE],  # `groups` has that one
    )
    return page("campaign", pictures=False, served=served, campaign=content)


def _anchor(table: Table) -> str:
    return "table-" + re.sub(r"[^a-z]+", "-", table.title.lower())


def _without_verdict(headline: str) -> str:
    """The page shows the verdict above it: "VALID (2 runs: 2 valid)" is "2 runs: 2 valid"."""
    rest = headline.partition(" ")[2]
    return rest[1:-1] if rest.startswith("(") and rest.endswith(")") else rest


def _of_report(report: RunReport) -> Cell:
    first = report.violations[0] if report.violations else None
    unjudged = [f"{one.invariant}: {one.reason}" for one in report.invariants if one.outcome == "unknown"]
    reasons = [first.message] if first else [*vacuous(report.info.vacuous), *unjudged]
    return Cell(
        seed=report.info.seed,
        verdict=report.verdict,
        found=first.invariant if first else "",
        sentence=_short(reasons[0]) if reasons and report.verdict != "valid" else "",
        link=_link(report.path),
    )


def _of_result(result: SeedLike, folder: Path) -> Cell:
    run = _found(result.run, folder)
    return seed_cell(result, run, _link(run) if run is not None else "")


def _found(run: str | None, folder: Path) -> Path | None:
    """The run directory, where it was or in the folder."""
    places = [] if run is None else [Path(run), folder / Path(run).name]
    return next((place for place in places if (place / "run.json").is_file()), None)


def _first_message(run: Path) -> str:
    """The message of the first violation in run.json; "" if it has none, or cannot be read."""
    try:
        verdicts = RunDir(run).load_info().invariants
    except RunDirError:
        return ""
    return next((one.violations[0].message for one in verdicts if one.violations), "")


def _link(run: Path) -> str:
    return quote(str(run / REPORT)) if (run / REPORT).is_file() else ""


def _groups(cells: Iterable[Cell]) -> list[Group]:
    """The failures, those of most seeds first, violated ones before unknown ones."""
    alike: dict[tuple[Outcome, str, str], list[Cell]] = {}
    for cell in sorted(cells, key=lambda cell: cell.seed):
        if cell.verdict != "valid":
            alike.setdefault((cell.verdict, cell.found, shape(cell.sentence)), []).append(cell)
    groups = [
        Group(verdict=verdict, found=found, sentence=same[0].sentence, cells=same)
        for (verdict, found, _), same in alike.items()
    ]
    return sorted(groups, key=lambda group: (worst_first(group.verdict), -len(group.cells), group.cells[0].seed))


def _short(text: str) -> str:
    text = visible(text)
    return text if len(text) <= LONGEST_SENTENCE else f"{text[: LONGEST_SENTENCE - 1]}…"
