"""The kinds of faults for a reader: one row for each kind, for `raft-chaos faults` and docs/reference/."""

from __future__ import annotations

import msgspec

from raft_chaos.chaos.faults.abilities import OF_NETWORK, OURS
from raft_chaos.chaos.faults.action import Action
from raft_chaos.chaos.faults.catalogue import KINDS, LIVE_KINDS, VIRTUAL_KINDS


class FaultRow(msgspec.Struct, frozen=True):
    """One kind: its name, the worlds that have it, what it does, how its effect is seen, what a node may then do (""
    for going on), and its fields in a schedule."""

    kind: str
    worlds: str
    does: str
    seen: str
    then: str
    fields: list[str]


def rows() -> list[FaultRow]:
    """In the order of the catalogue."""
    return [
        FaultRow(name, worlds(kind), kind.about, kind.seen, kind.then, list(kind.__struct_fields__))
        for name, kind in KINDS.items()
    ]


def worlds(kind: type[Action]) -> str:
    """The worlds that have the kind: with our own Raft, or with the networks of other targets."""
    if kind.kind() in LIVE_KINDS:
        return "all"
    virtual = ["sim", "lockstep"] if kind.kind() in VIRTUAL_KINDS else []
    networks = [name for name, can in OF_NETWORK.items() if kind.in_live and kind.exists(OURS | can)]
    return ", ".join([*virtual, *([f"live with the network {' or '.join(networks)}"] if networks else [])])
