"""A page from a template. Everything that it needs stands in it: style, script, data, plotting library.

    page(name, **values)          the text of the page `templates/name.html.j2`
    Picture(id, label, spec)      a Vega specification; `{{ picture(one) }}` in a template draws it
    Served(links, every_ms)       for a page that a server shows: where it leads, and how often it looks for news

Every text from a run is made visible (`reports.text`) before it gets here, and jinja2 escapes it.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any

import msgspec

from raft_chaos.reports.html.library import library, packed
from raft_chaos.reports.html.palette import DARK, LIGHT, variables
from raft_chaos.reports.tables import Table, shortened

if TYPE_CHECKING:
    from jinja2 import Environment

REPORT = "report.html"
"""The page of a run, in its directory."""
MOST_ROWS = 2_000
"""The most rows of a table in a page."""


class Picture(msgspec.Struct, frozen=True, kw_only=True):
    """A picture in a page. `label` says in a sentence or two what it shows, for those who do not see it.

    `spec` is a Vega specification. The page's script sets its signals `c` (the colours) and `W` (the width).
    """

    id: str
    label: str
    spec: dict[str, Any]

    @property
    def packed(self) -> str:
        return packed(msgspec.json.encode(self.spec).decode())


class Served(msgspec.Struct, frozen=True, kw_only=True):
    """What a page has beside its content when a server shows it. `links` are addresses with their texts.

    Every `every_ms` the page is fetched again, and its parts with `data-fresh` become what they are now; 0: never.
    """

    links: list[tuple[str, str]] = []
    every_ms: int = 0


def page(name: str, *, pictures: bool, served: Served | None = None, **values: Any) -> str:
    """The page; with `pictures` the plotting library stands in it, too."""
    template = _environment().get_template(f"{name}.html.j2")
    script = library() if pictures else ""
    return template.render(library=script, light=variables(LIGHT), dark=variables(DARK), served=served, **values)


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape  # here: other commands need none

    environment = Environment(
        loader=PackageLoader("raft_chaos.reports.html"),
        autoescape=select_autoescape(["html.j2"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["shown"] = _shown
    return environment


def _shown(table: Table) -> tuple[Table, str]:
    """The table as a page shows it: without its empty columns, and with more rows than text would have."""

    return shortened(replace(table, longest=MOST_ROWS))
