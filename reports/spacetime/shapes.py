"""What is where in the picture of a diagram, as plain rows of data: lifelines, dots, arrows, texts, and the logs.

Across, places are columns (from 0); downwards, pixels. The picture decides how wide a column is.
"""

from __future__ import annotations

from typing import Any

from raft_chaos.reports.spacetime.diagram import Arrow, Diagram, NodeState, Row
from raft_chaos.reports.text import US_PER_MS, US_PER_S, milliseconds, seconds

ROW, GAP = 22, 12
"""The height of a row, and what is added above a row if turns are left out there."""

HEAD = 40
"""The height above the first row, for the names of the nodes."""

PART, STUB = 0.55, 0.3
"""How far an arrow goes whose other end is not drawn; and if it does arrive, but in a turn that is not drawn."""

SHOWN_ENTRIES = 14
"""The number of last entries of the logs that are shown."""

FATES = {
    "arrived": "message",
    "late": "message that is late",
    "again": "message that arrives again",
    "lost": "message that never arrives",
    "later": "message to a turn not drawn",
}

_FATES = {
    "arrived": "arrives",
    "late": "arrives late",
    "again": "arrives again",
    "lost": "never arrives",
    "later": "arrives in a turn that is not drawn",
}


class Shapes:
    """The data of one picture. `height` is that of the rows with the head."""

    def __init__(self, diagram: Diagram) -> None:
        self.diagram = diagram
        self.column = {name: place for place, name in enumerate(diagram.nodes)}
        self.y: list[int] = []
        y = HEAD
        for row in diagram.rows:
            y += GAP if row.skipped else 0
            self.y.append(y + ROW // 2)
            y += ROW
        self.height = y + ROW // 2

    def columns(self) -> list[dict[str, Any]]:
        return [{"x": place, "name": name} for name, place in self.column.items()]

    def rows(self) -> list[dict[str, Any]]:
        """Each row: its texts, and its time where it goes on."""
        made, latest_us = [], -1
        for place, row in enumerate(self.diagram.rows):
            # An event that was reported late carries the time of its step. The axis only goes on; the hover says it.
            time = seconds(row.t_us) if row.t_us // US_PER_MS > latest_us // US_PER_MS else ""
            latest_us = max(latest_us, row.t_us)
            made.append(
                {
                    "i": place,
                    "y": self.y[place],
                    "time": time,
                    "text": self._text(row),
                    "level": row.level,
                    "gap": row.skipped,
                    "hover": self._hover(row),
                }
            )
        return made

    def _text(self, row: Row) -> str:
        number = f"{row.number}  " if self.diagram.numbered else ""
        own = row.text.startswith(row.who) or row.who not in self.diagram.nodes
        return f"{number}{'' if own else f'{row.who}  '}{row.text}"

    def _hover(self, row: Row) -> dict[str, str]:
        name = f"step {row.number}, " if self.diagram.numbered else ""
        about = {
            "title": f"{row.who}, {name}{row.t_us / US_PER_S:.6f} s",
            "what": "\n".join(row.details or (row.text,)),
        }
        if row.level == "witness":
            about["witness"] = "of the violation"
        if row.skipped:
            about["above"] = f"{row.skipped} turns are not drawn"
        return about

    def dots(self) -> list[dict[str, Any]]:
        return [
            {
                "i": place,
                "x": self.column[name],
                "y": self.y[place],
                "mark": row.mark,
                "term": str(row.term) if row.term else "",
                "level": row.level,
                "hover": self._hover(row),
            }
            for place, row in enumerate(self.diagram.rows)
            for name in row.columns
            if name in self.column
        ]

    def bands(self) -> list[dict[str, Any]]:
        """A line across the columns that an event of the harness concerns."""
        made = []
        for place, row in enumerate(self.diagram.rows):
            hit = sorted(self.column[name] for name in row.columns if name in self.column)
            if len(hit) > 1:
                made.append({"i": place, "y": self.y[place], "x1": hit[0], "x2": hit[-1]})
        return made

    def lives(self) -> list[dict[str, Any]]:
        """Each node's life as segments: who it was (leader, candidate, follower, paused, down) from where to where."""
        made = []
        for name, column in self.column.items():
            if name not in self.diagram.first:
                made.append({"x": column, "y1": HEAD - 6, "y2": self.height, "state": "client"})
                continue
            since, state = HEAD - 6, _life(self.diagram.first[name])
            for place, row in enumerate(self.diagram.rows):
                now = _life(row.states[name]) if name in row.states else state
                if now != state:
                    made.append({"x": column, "y1": since, "y2": self.y[place], "state": state})
                    since, state = self.y[place], now
            made.append({"x": column, "y1": since, "y2": self.height, "state": state})
        return made

    def arrows(self) -> list[dict[str, Any]]:
        return [shape for arrow in self.diagram.arrows if (shape := self._arrow(arrow)) is not None]

    def _arrow(self, arrow: Arrow) -> dict[str, Any] | None:
        if arrow.sender not in self.column or arrow.receiver not in self.column:
            return None
        one, other = self.column[arrow.sender], self.column[arrow.receiver]
        stub = arrow.fate == "later"
        across, down = (STUB if stub else PART) * (other - one), ROW * (STUB if stub else PART)
        if arrow.leaves is not None:
            start = (float(one), float(self.y[arrow.leaves]))
            end = (float(other), float(self.y[arrow.arrives])) if arrow.arrives is not None else None
        else:
            assert arrow.arrives is not None
            end = (float(other), float(self.y[arrow.arrives]))
            start = (other - across, end[1] - down)
        end = end or (one + across, start[1] + down)
        row = arrow.arrives if arrow.arrives is not None else arrow.leaves
        took = f", after {milliseconds(arrow.took_us)} ms" if arrow.took_us else ""
        return {
            "i": row,
            "x1": round(start[0], 3),
            "y1": round(start[1], 1),
            "x2": round(end[0], 3),
            "y2": round(end[1], 1),
            "fate": arrow.fate,
            "whole": int(arrow.leaves is not None and arrow.arrives is not None),
            "hover": {
                "title": f"{arrow.type} from {arrow.sender} to {arrow.receiver}",
                "what": f"{_FATES[arrow.fate]}{took}",
            },
        }

    def masks(self) -> list[str]:
        """For each row, which rows happened before it, as a text of 0 and 1; then those before the witness."""
        rows = [row.before for row in self.diagram.rows]
        return [
            "".join("1" if mask >> n & 1 else "0" for n in range(len(rows))) for mask in (*rows, self.diagram.witness)
        ]


def _life(state: NodeState) -> str:
    return state.life if state.life != "up" else state.role or "follower"


# ---- the logs --------------------------------------------------------------------------------------------------------


def log_window(states: dict[str, NodeState]) -> range:
    """The indexes of the entries that are shown: the last ones of the longest log."""
    longest = max((state.length for state in states.values()), default=0)
    return range(max(1, longest - SHOWN_ENTRIES + 1), longest + 1)


def cells(state: NodeState, window: range) -> list[tuple[int, int, bool]]:
    """The node's entries in the window: (index, term, committed)."""
    made, index = [], 0
    for term, number in state.log:
        made += [
            (n, term, n <= state.commit)
            for n in range(max(index + 1, window.start), min(index + number + 1, window.stop))
        ]
        index += number
    return made
