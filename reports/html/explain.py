"""The page that explains one failure: its space-time diagram to step through, and its story in words.

`explain_picture` is the diagram alone, as an SVG image for a document.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from raft_chaos.invariants.verdict import Violation
from raft_chaos.reports.html.library import drawn
from raft_chaos.reports.html.page import page
from raft_chaos.reports.html.palette import LIGHT
from raft_chaos.reports.html.spacetime import NO_EVENTS, SpacetimePart, left_out, spacetime_part
from raft_chaos.reports.spacetime.diagram import Diagram
from raft_chaos.reports.spacetime.vega import alone
from raft_chaos.reports.story.story import title, wrapped
from raft_chaos.reports.text import visible

PRINTED_WIDTH = 960
_TITLE_COLUMNS, _COLUMNS = 100, 132


class ExplainPage(msgspec.Struct, frozen=True, kw_only=True):
    """What the template `explain.html.j2` shows. `about` names the run or the file; `story` are lines of text."""

    verdict: str
    sentence: str
    rule: str
    about: str
    diagram: SpacetimePart | None
    why_none: str
    story: list[str]
    commands: list[tuple[str, str]]


def explain_html(
    diagram: Diagram | None,
    violation: Violation | None,
    story: Sequence[str],
    about: str,
    commands: Sequence[tuple[str, str]],
) -> str:
    """The page. `commands` are what to do next: a title and a command each."""
    part = spacetime_part(diagram, all_keys=True) if diagram is not None else None
    shown = ExplainPage(
        verdict="violated" if violation is not None else "unknown",
        sentence=visible(violation.message if violation is not None else "No invariant is violated"),
        rule=title(violation) if violation is not None else "",
        about=visible(about),
        diagram=part,
        why_none=NO_EVENTS,
        story=[visible(line) for line in story],
        commands=[(name, visible(command)) for name, command in commands],
    )
    return page("explain", pictures=part is not None, explained=shown)


def explain_picture(diagram: Diagram, violation: Violation | None) -> str:
    """The diagram as an SVG image in light colours, with the violation above and the logs below."""
    heading = wrapped(violation.message, "", _TITLE_COLUMNS) if violation is not None else []
    rule = wrapped(title(violation), "", _COLUMNS) if violation is not None else []
    said = [*rule, *wrapped(left_out(diagram), "", _COLUMNS)]
    picture = alone(diagram, LIGHT, PRINTED_WIDTH, heading, said)
    return drawn(picture)
