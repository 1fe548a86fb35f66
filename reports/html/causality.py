"""The page that shows where a failure was decided: the chance that the invariant breaks, over the steps."""

from __future__ import annotations

import msgspec

from raft_chaos.reports.html.chart import chart
from raft_chaos.reports.html.page import page
from raft_chaos.reports.story.causality import (
    CausalityView,
    causality_note,
    causality_sentence,
    causality_table,
    curve,
)
from raft_chaos.reports.tables import Table
from raft_chaos.reports.text import visible


class CausalityPage(msgspec.Struct, frozen=True, kw_only=True):
    """What the template `causality.html.j2` shows. `chart` is an SVG image."""

    sentence: str
    about: str
    invariant: str
    note: str
    chart: str
    table: Table


def causality_html(view: CausalityView) -> str:
    """The page, as one HTML document."""
    marked = [] if view.jump is None else [(float(view.chances[view.jump].steps), "the jump")]
    content = CausalityPage(
        sentence=visible(causality_sentence(view)),
        about=visible(view.about),
        invariant=view.invariant,
        note=visible(causality_note(view)),
        chart=chart(curve(view.chances), "steps done", "chance (%)", most_y=100, marked=marked),
        table=causality_table(view, bars=False),
    )
    return page("causality", pictures=False, causality=content)
