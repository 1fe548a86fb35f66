"""The kinds of faults for a reader: one row for each kind, for the manual and for `raft-chaos faults`."""

from __future__ import annotations

import msgspec

from raft_chaos.chaos.faults.catalogue import KINDS

WORLDS = {True: "all", False: "sim, lockstep"}


class FaultRow(msgspec.Struct, frozen=True):
    """One kind: its name, the worlds that have it, what it does, and its fields in a schedule."""

    kind: str
    worlds: str
    does: str
    fields: list[str]


def rows() -> list[FaultRow]:
    """In the order of the catalogue."""
    return [
        FaultRow(name, WORLDS[kind.in_live], kind.about, list(kind.__struct_fields__)) for name, kind in KINDS.items()
    ]


def markdown() -> str:
    """The table of the manual."""
    lines = ["| kind | worlds | does | fields |", "| --- | --- | --- | --- |"]
    for row in rows():
        fields = ", ".join(f"`{field}`" for field in row.fields)
        lines.append(f"| {row.kind} | {row.worlds} | {row.does} | {fields} |")
    return "\n".join(lines) + "\n"
