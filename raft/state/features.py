"""Parts of Raft beyond §5 that a cluster can have or not. All nodes of a cluster have the same."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec


class Features(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """Which of these parts the nodes have; none, unless somebody asks for it.

    `pre_vote`: a node asks whether it would win before it begins an election (Ongaro's thesis, §9.6).
    `check_quorum`: a leader that a majority does not answer steps down, and a node that hears a leader does not heed
    candidates (thesis, §6.2 and §4.2.3).
    """

    pre_vote: bool = False
    check_quorum: bool = False

    @classmethod
    def of(cls, names: Iterable[str]) -> Features:
        """With these, and no other. Raises TypeError for an unknown name."""
        return cls(**dict.fromkeys(names, True))


NONE = Features()
FEATURES: tuple[str, ...] = Features.__struct_fields__
