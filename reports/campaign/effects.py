"""Whether each kind of fault has an effect in each world, as tables of kinds by worlds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from raft_chaos.invariants.exposure import Exposure
from raft_chaos.reports.tables import Column, Table, flowing, markdown_table, titled
from raft_chaos.reports.text import count

NO_EFFECT = "NO EFFECT"


class EffectsLike(Protocol):
    """What a kind met at a place; see `chaos.campaign.effects.Effects`."""

    @property
    def kind(self) -> str: ...
    @property
    def place(self) -> str: ...
    @property
    def tried(self) -> int: ...
    @property
    def drawn(self) -> int: ...
    @property
    def exposure(self) -> Exposure: ...
    @property
    def violated(self) -> Sequence[int]: ...
    @property
    def lacking(self) -> str: ...
    @property
    def is_inert(self) -> bool: ...


def effects_tables(found: Sequence[EffectsLike]) -> list[Table]:
    notes = [
        "a/b: a of b faults that struck had an effect; in elections: a node stood for election during them.",
        "Empty: the kind does not exist there; ?: this machine does not have that place.",
    ]
    more = (
        "A kind is drawn with kills alone. drawn: it was in the schedules of a of b seeds; nodes: hit by all of them."
    )
    return [
        _by_place("Faults with an effect", found, _effective, "\n".join(notes)),
        _by_place("In how many seeds, and on how many nodes", found, _drawn, more),
    ]


def effects_problems(found: Sequence[EffectsLike]) -> list[str]:
    """What is wrong, a sentence each: kinds without an effect, wrong verdicts, places that this machine lacks."""
    lines = []
    for one in found:
        where = f"{one.kind} in {one.place}"
        if one.is_inert:
            why = f"of {one.exposure.injected} that struck" if one.drawn else f"no seed of {one.tried} draws it"
            lines.append(f"{NO_EFFECT}: {where}: {why}.")
        if one.violated:
            lines.append(f"VIOLATED: {where}: seeds {', '.join(map(str, one.violated))}, without any mutant.")
    lacking = dict.fromkeys((one.place, one.lacking) for one in found if one.lacking)
    return [*lines, *(f"Not on this machine: {place}: {why}" for place, why in lacking)]


def effects_page(found: Sequence[EffectsLike], width: int) -> list[str]:
    lines = []
    for table in effects_tables(found):
        lines += [*titled(table, width), ""]
    return [*lines, *flowing(effects_problems(found) or [_all_well(found)], width)]


def effects_markdown(found: Sequence[EffectsLike], command: str) -> str:
    lines = ["# What each fault does in each world", "", f"Made by `{command}`.", ""]
    lines += [f"- {line}" for line in effects_problems(found) or [_all_well(found)]]
    for table in effects_tables(found):
        lines += ["", f"## {table.title}", "", *markdown_table(table)]
    return "\n".join(lines) + "\n"


def _all_well(found: Sequence[EffectsLike]) -> str:
    if not found:
        return "Nothing was measured."
    kinds, places = ({getattr(one, what) for one in found} for what in ("kind", "place"))
    return f"{count(len(kinds), 'kind')} in {count(len(places), 'place')}: each had an effect wherever it exists."


def _by_place(title: str, found: Sequence[EffectsLike], cell: Callable[[EffectsLike], str], note: str) -> Table:
    places = list(dict.fromkeys(one.place for one in found))
    cells = {(one.kind, one.place): cell(one) for one in found}
    kinds = list(dict.fromkeys(one.kind for one in found))
    rows = [[kind, *(cells.get((kind, place), "") for place in places)] for kind in kinds]
    return Table(title, [Column("fault"), *(Column(place) for place in places)], rows, note, longest=len(rows))


def _effective(one: EffectsLike) -> str:
    if one.lacking:
        return "?"
    met = one.exposure
    return f"{met.effective}/{met.injected}, {met.in_election} in elections" if met.effective else NO_EFFECT


def _drawn(one: EffectsLike) -> str:
    return "?" if one.lacking else f"{one.drawn}/{one.tried}, {one.exposure.nodes} nodes"
