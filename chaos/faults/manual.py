"""The kinds of faults and the roles of nodes for a reader: for the manual and for `raft-chaos faults`."""

from __future__ import annotations

import msgspec

from raft_chaos.chaos.faults.abilities import OF_NETWORK, OURS
from raft_chaos.chaos.faults.action import Action
from raft_chaos.chaos.faults.catalogue import KINDS, LIVE_KINDS, VIRTUAL_KINDS
from raft_chaos.chaos.faults.names import ROLES


class FaultRow(msgspec.Struct, frozen=True):
    """One kind: its name, the worlds that have it, what it does, and its fields in a schedule."""

    kind: str
    worlds: str
    does: str
    fields: list[str]


def rows() -> list[FaultRow]:
    """In the order of the catalogue."""
    return [FaultRow(name, worlds(kind), kind.about, list(kind.__struct_fields__)) for name, kind in KINDS.items()]


def worlds(kind: type[Action]) -> str:
    """The worlds that have the kind: with our own Raft, or with the networks of other targets."""
    if kind.kind() in LIVE_KINDS:
        return "all"
    virtual = ["sim", "lockstep"] if kind.kind() in VIRTUAL_KINDS else []
    networks = [name for name, can in OF_NETWORK.items() if kind.in_live and kind.exists(OURS | can)]
    return ", ".join([*virtual, *([f"live with the network {' or '.join(networks)}"] if networks else [])])


def markdown() -> str:
    """The table of the manual."""
    lines = ["| kind | worlds | does | fields |", "| --- | --- | --- | --- |"]
    for row in rows():
        fields = ", ".join(f"`{field}`" for field in row.fields)
        lines.append(f"| {row.kind} | {row.worlds} | {row.does} | {fields} |")
    return "\n".join(lines) + "\n"


def roles_markdown() -> str:
    """The manual's table of the roles by which a fault may name nodes."""
    return "\n".join(["| role | is |", "| --- | --- |", *(f"| {role} | {who} |" for role, who in ROLES.items())]) + "\n"
