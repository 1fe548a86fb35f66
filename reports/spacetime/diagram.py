"""The data of a space-time diagram. Rows are numbered from 0, downwards; each row comes after its causes."""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

Life: TypeAlias = Literal["up", "down", "paused"]
Level: TypeAlias = Literal["witness", "told", "other"]
"""How a row stands out: it is in the witness of the violation; the story tells it; or it is drawn besides."""

Fate: TypeAlias = Literal["arrived", "late", "again", "lost", "later"]
"""What became of a message. `again`: it arrived once more. `later`: it arrives, but not in a row of this diagram."""

Mark: TypeAlias = Literal[
    "leader", "candidate", "follower", "vote", "entry", "cut", "commit", "message",
    "start", "crash", "pause", "resume", "client", "note",
]  # fmt: skip
"""What a row mainly is, for the dot in it. `cut`: entries were deleted; `note`: the harness says something."""

CLIENTS = "clients"
"""The column of all clients."""


class NodeState(msgspec.Struct, frozen=True, omit_defaults=True):
    """A node as it had reported itself. `log` are runs of entries with the same term: (term, number of entries)."""

    life: Life = "down"
    role: str = ""
    term: int = 0
    vote: str | None = None
    commit: int = 0
    log: tuple[tuple[int, int], ...] = ()

    @property
    def length(self) -> int:
        """The index of the log's last entry."""
        return sum(number for _, number in self.log)


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One turn of a node, or one event of the harness or a client.

    `columns` are the nodes that it concerns, or CLIENTS. `text` is one line; `details` say more. `before` are the rows
    that happened before it, and the row itself, as a bit mask. `skipped` counts the turns left out just above.
    `states` are the states of those nodes that changed since the row above. `unlike` are the indexes where logs have
    entries of the same term that differ, which the Log Matching Property excludes.
    """

    number: int
    who: str
    columns: tuple[str, ...]
    t_us: int
    mark: Mark
    text: str
    term: int = 0
    details: tuple[str, ...] = ()
    level: Level = "other"
    before: int = 0
    skipped: int = 0
    states: dict[str, NodeState] = {}
    unlike: tuple[int, ...] = ()


class Arrow(msgspec.Struct, frozen=True, kw_only=True):
    """A message. `leaves` and `arrives` are rows; None: that turn is not drawn, or the message did not arrive."""

    sender: str
    receiver: str
    leaves: int | None
    arrives: int | None
    type: str
    fate: Fate
    took_us: int = 0


class Diagram(msgspec.Struct, frozen=True, kw_only=True):
    """`nodes` are the columns, with CLIENTS last if a client has a row. `first` are the states above the first row.

    `turns` counts the turns up to the last row, drawn or not. `numbered`: rows have the numbers of an execution's
    steps.
    """

    nodes: tuple[str, ...]
    rows: tuple[Row, ...]
    arrows: tuple[Arrow, ...]
    first: dict[str, NodeState]
    turns: int
    numbered: bool = False

    def states_at(self, row: int) -> dict[str, NodeState]:
        """The state of each node after that row of the diagram, by its place from 0."""
        states = dict(self.first)
        for one in self.rows[: row + 1]:
            states.update(one.states)
        return states

    @property
    def witness(self) -> int:
        """The rows of the witness and all before them, as a bit mask; all rows if no row is of the witness."""
        mask = 0
        for row in self.rows:
            if row.level == "witness":
                mask |= row.before
        return mask or (1 << len(self.rows)) - 1
