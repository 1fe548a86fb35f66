"""A page that says one thing: why something is not shown."""

from __future__ import annotations

from raft_chaos.reports.html.page import Served, page
from raft_chaos.reports.text import visible


def message_html(title: str, text: str) -> str:
    """The page, with a way back to the list of runs."""
    return page(
        "message", pictures=False, served=Served(links=[("/", "All runs")]), title=visible(title), text=visible(text)
    )
