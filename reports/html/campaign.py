"""The page of several runs: each seed as a cell, coloured by its verdict, and the failures in groups.

campaign_page(reports)             of runs that were read already
seeds_page(totals, results, ...)   of a campaign's file, which knows more seeds than have a run directory
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from urllib.parse import quote

import msgspec

from raft_chaos.invariants.rundir import RunDir, RunDirError
from raft_chaos.invariants.verdict import Outcome
from raft_chaos.reports.campaign.runs import campaign_verdict, first_failure, runs_headline, runs_table
from raft_chaos.reports.campaign.seeds import SeedLike, SeedTotals, seeds_caveats, seeds_headline, seeds_tables
from raft_chaos.reports.html.page import page
from raft_chaos.reports.run.layout import vacuous
from raft_chaos.reports.run.model import RunReport, worst_first
from raft_chaos.reports.run.pages import repro
from raft_chaos.reports.tables import Table
from raft_chaos.reports.text import count, visible

REPORT = "report.html"
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


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """Seeds that failed alike: the same invariant, and the same sentence but for its numbers."""

    verdict: Outcome
    found: str
    sentence: str
    cells: list[Cell]

    @property
    def shown(self) -> list[Cell]:
        return self.cells[:MOST_OF_A_GROUP]


class CampaignPage(msgspec.Struct, frozen=True, kw_only=True):
    """What the template `campaign.html.j2` shows."""

    verdict: Outcome
    headline: str
    caveats: list[str]
    first: str
    command: str
    cells: list[Cell]
    left_out: str
    groups: list[Group]
    tables: list[tuple[str, Table]]


def campaign_page(reports: Sequence[RunReport]) -> str:
    """The page of these runs, as one HTML document."""
    cells = [_of_report(report) for report in reports]
    failure = first_failure(reports)
    return _page(
        verdict=campaign_verdict(reports),
        headline=runs_headline(reports),
        caveats=[],
        first=f"First failure: seed {failure.info.seed}" if failure else "",
        command=repro(failure) if failure else "",
        cells=cells,
        tables=[runs_table(reports)] if reports else [],
    )


def seeds_page(totals: SeedTotals, results: Iterable[SeedLike], folder: Path) -> str:
    """The page of a campaign. `folder` has its run directories, if they are no longer where the results say."""
    worst = totals.worst
    return _page(
        verdict=totals.verdict,
        headline=seeds_headline(totals),
        caveats=seeds_caveats(totals),
        first=f"First {worst.verdict}: seed {worst.seed}" if worst is not None else "",
        command=totals.repro,
        cells=[_of_result(result, folder) for result in results],
        tables=seeds_tables(totals),
    )


def _page(
    *,
    verdict: Outcome,
    headline: str,
    caveats: list[str],
    first: str,
    command: str,
    cells: list[Cell],
    tables: list[Table],
) -> str:
    shown = sorted(cells, key=lambda cell: (worst_first(cell.verdict), cell.seed))[:MOST_CELLS]
    left_out = len(cells) - len(shown)
    content = CampaignPage(
        verdict=verdict,
        headline=_without_verdict(visible(headline)),
        caveats=[visible(line) for line in caveats],
        first=visible(first),
        command=command,
        cells=sorted(shown, key=lambda cell: cell.seed),
        left_out=f"{count(left_out, 'more seed')} without a cell; the failures come first." if left_out else "",
        groups=_groups(cells),
        tables=[("table-" + re.sub(r"[^a-z]+", "-", table.title.lower()), table) for table in tables],
    )
    return page("campaign", pictures=False, campaign=content)


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
    unsure = [*result.vacuous, *(f"{invariant} could not be judged" for invariant in result.unknown)]
    said = _first_message(run) if run is not None and result.violated else ""
    sentence = said or (unsure[0] if unsure and result.verdict == "unknown" else "")
    return Cell(
        seed=result.seed,
        verdict=result.verdict,
        found=visible(", ".join(result.violated)),
        sentence=_short(sentence),
        link=_link(run) if run is not None else "",
    )


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
            alike.setdefault((cell.verdict, cell.found, re.sub(r"\d+(\.\d+)?", "#", cell.sentence)), []).append(cell)
    groups = [
        Group(verdict=verdict, found=found, sentence=same[0].sentence, cells=same)
        for (verdict, found, _), same in alike.items()
    ]
    return sorted(groups, key=lambda group: (worst_first(group.verdict), -len(group.cells), group.cells[0].seed))


def _short(text: str) -> str:
    text = visible(text)
    return text if len(text) <= LONGEST_SENTENCE else f"{text[: LONGEST_SENTENCE - 1]}…"
