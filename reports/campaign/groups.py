"""The failures of a campaign by their cause: what was violated, and the shape of what was found.

The shape is the sentence of the first violation without what differs between runs: numbers, names of nodes, digests.
Two seeds with one shape failed in the same way, so one of them is enough to look at.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec
from msgspec.structs import replace

from raft_chaos.reports.tables import Column, Table
from raft_chaos.reports.text import visible

FIRST = 5
"""A list of seeds names at most this many."""
LONGEST = 160
TITLE = "Failures by cause"

_DIFFERS = re.compile(r"\b[0-9a-f]{8,}\b|\d+(\.\d+)?")


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """Seeds that failed alike: the same invariant first, and the same shape. `sentence`, `run` and `repro` are those of
    the lowest one, the example."""

    invariant: str
    sentence: str
    seeds: int
    first: Sequence[int]
    run: str | None
    repro: str

    @property
    def example(self) -> int:
        return self.first[0]


def shape(sentence: str) -> str:
    """The sentence without numbers and digests, which differ between runs of one failure."""
    return _DIFFERS.sub("#", sentence)


class Groups:
    """Failures by cause, as they come. Which one is the example does not depend on their order."""

    def __init__(self) -> None:
        self._causes: dict[tuple[str, str], Group] = {}

    def add(self, invariant: str, sentence: str, seed: int, run: str | None, repro: str) -> None:
        """A seed that violated this invariant first, as the sentence says. `run` is its run directory, if it has one,
        `repro` the command that repeats it."""
        cause = invariant, shape(sentence)
        alone = Group(invariant=invariant, sentence=sentence, seeds=1, first=[seed], run=run, repro=repro)
        known = self._causes.setdefault(cause, alone)
        if known is alone:
            return
        example = alone if seed < known.example else known
        first = sorted([*known.first, seed])[:FIRST]
        self._causes[cause] = replace(example, seeds=known.seeds + 1, first=first)

    @property
    def all(self) -> list[Group]:
        """The most frequent cause first."""
        return sorted(self._causes.values(), key=lambda group: (-group.seeds, group.example))


def groups_table(groups: Sequence[Group]) -> Table:
    rows = [
        [group.invariant, str(group.seeds), str(group.example), visible(_short(group.sentence))] for group in groups
    ]
    columns = [Column("violated first", wraps=True), Column("seeds", "right"), Column("example", "right")]
    return Table(TITLE, [*columns, Column("what the example shows", wraps=True)], rows)


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
