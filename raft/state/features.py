"""Parts of Raft beyond §5 that a cluster can have or not. All nodes of a cluster have the same."""

from __future__ import annotations

import msgspec


class Features(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """Which of these parts the nodes have; none, unless somebody asks for it.

    `snapshot_every`: a node takes a snapshot of its state machine whenever it has applied so many entries since the
    last one, and drops them from its log (§7); 0: never.
    """

    snapshot_every: int = 0


NONE = Features()
FEATURES: tuple[str, ...] = Features.__struct_fields__
