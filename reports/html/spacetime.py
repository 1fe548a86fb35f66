"""A space-time diagram as a part of a page: the picture, the data to step through it, and what is left out."""

from __future__ import annotations

from typing import Any

import msgspec

from raft_chaos.reports.html.library import packed
from raft_chaos.reports.html.palette import LIGHT
from raft_chaos.reports.spacetime.diagram import CLIENTS, Diagram
from raft_chaos.reports.spacetime.vega import spec
from raft_chaos.reports.text import count, seconds

NO_EVENTS = "The nodes of this system report no events, so there is no space-time diagram."


class SpacetimePart(msgspec.Struct, frozen=True, kw_only=True):
    """What the macro `spacetime` shows. `steps` are the rows and the nodes' states, for the page's script.

    `all_keys`: the whole page listens to the keys, not only the part.
    """

    id: str
    label: str
    spec: dict[str, Any]
    steps: dict[str, Any]
    rows: int
    notes: list[str]
    numbered: bool
    all_keys: bool

    @property
    def packed(self) -> str:
        return packed(msgspec.json.encode(self.spec).decode())

    @property
    def packed_steps(self) -> str:
        return packed(msgspec.json.encode(self.steps).decode())


def spacetime_part(diagram: Diagram, *, all_keys: bool = False) -> SpacetimePart:
    """The part of a page for this diagram."""
    return SpacetimePart(
        id="spacetime-picture",
        label=_label(diagram),
        spec=spec(diagram, LIGHT),
        steps=_steps(diagram),
        rows=len(diagram.rows),
        notes=[left_out(diagram)],
        numbered=diagram.numbered,
        all_keys=all_keys,
    )


def left_out(diagram: Diagram) -> str:
    """A sentence that says what is not drawn."""
    of = "step" if diagram.numbered else "turn"
    if len(diagram.rows) >= diagram.turns:
        return f"All {count(diagram.turns, of)} up to the last row are drawn, in causal order, not to scale."
    besides = "the last ones" if diagram.numbered else "those that the explanation tells, and some around them"
    return (
        f"{len(diagram.rows)} of the {count(diagram.turns, of)} up to the last row are drawn: {besides}. "
        "Rows are in causal order, not to scale; dots on the left mark places where some are left out."
    )


def _label(diagram: Diagram) -> str:
    nodes = [name for name in diagram.nodes if name != CLIENTS]
    witness = [f"{row.who} at {seconds(row.t_us)} s: {row.text}" for row in diagram.rows if row.level == "witness"]
    told = f" The violation: {'; '.join(witness)}." if witness else ""
    return (
        f"Space-time diagram: {count(len(nodes), 'node')} as columns, {count(len(diagram.rows), 'row')} downwards in "
        f"time, {count(len(diagram.arrows), 'message')} as arrows.{told} Beside it, the same is in words."
    )


def _steps(diagram: Diagram) -> dict[str, Any]:
    rows = [
        {
            "number": row.number,
            "who": row.who,
            "t": row.t_us,
            "text": row.text,
            "details": row.details,
            "witness": row.level == "witness",
            "unlike": row.unlike,
            "states": row.states,
        }
        for row in diagram.rows
    ]
    plain: dict[str, Any] = msgspec.to_builtins(
        {"numbered": diagram.numbered, "nodes": list(diagram.first), "first": diagram.first, "rows": rows}
    )
    return plain
