"""The page of an exploration: the states that it reached over time, and its tables."""

from __future__ import annotations

import msgspec

from raft_chaos.invariants.verdict import Outcome
from raft_chaos.reports.campaign.exploration import ExplorationTotals, exploration_headline, exploration_tables
from raft_chaos.reports.html.chart import chart
from raft_chaos.reports.html.page import Served, page
from raft_chaos.reports.tables import Table
from raft_chaos.reports.text import visible


class ExplorationPage(msgspec.Struct, frozen=True, kw_only=True):
    """What the template `exploration.html.j2` shows. `chart` is an SVG image, "" if nothing was run."""

    verdict: Outcome
    headline: str
    about: str
    command: str
    chart: str
    tables: list[tuple[str, Table]]


def exploration_html(totals: ExplorationTotals, served: Served | None = None) -> str:
    """The page, as one HTML document; with `served` as a server shows it."""
    curve = [(round(point.cpu_s, 3), float(point.states)) for point in totals.curve]
    first = min((alike.cpu_s for alike in totals.alike.values()), default=None)
    marked = [] if first is None else [(round(first, 3), "first failure")]
    content = ExplorationPage(
        verdict=totals.verdict,
        headline=exploration_headline(totals).partition(" ")[2][1:-1],
        about=visible(f"{totals.target}, seed {totals.seed}"),
        command=totals.repro,
        chart=chart([(0.0, 0.0), *curve], "CPU time (s)", "states", marked=marked) if curve else "",
        tables=[(f"table-{number}", table) for number, table in enumerate(exploration_tables(totals, bars=False))],
    )
    return page("exploration", pictures=False, served=served, exploration=content)
