"""Parts of Raft beyond §5 that a cluster can have or not. All nodes of a cluster have the same."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

SNAPSHOT_EVERY = 1_000
"""So many entries, unless somebody says how many."""


class Features(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """Which of these parts the nodes have; none, unless somebody asks for it.

    `pre_vote`: a node asks whether it would win before it begins an election (Ongaro's thesis, §9.6).
    `check_quorum`: a leader that a majority does not answer steps down, and a node that hears a leader does not heed
    candidates (thesis, §6.2 and §4.2.3).
    `snapshot_every`: a node takes a snapshot of its state machine whenever it has applied so many entries since the
    last one, and drops them from its log (§7); 0: never.
    """

    pre_vote: bool = False
    check_quorum: bool = False
    snapshot_every: int = 0

    @classmethod
    def of(cls, names: Iterable[str]) -> Features:
        """With these, and no other: "pre_vote", or "snapshot_every=20". Raises ValueError for what there is not."""
        chosen: dict[str, bool | int] = {}
        for one in names:
            name, _, number = one.partition("=")
            if name == "snapshot_every":
                if number and not (number.isdecimal() and int(number)):
                    raise ValueError(f"{one!r}: expected a number of entries, such as snapshot_every=20")
                chosen[name] = int(number or SNAPSHOT_EVERY)
            elif one in FEATURES:
                chosen[one] = True
            else:
                raise ValueError(f"{one!r} is unknown; expected some of {', '.join(FEATURES)}")
        return cls(**chosen)  # type: ignore[arg-type]

    @property
    def names(self) -> list[str]:
        """What `of` makes them from."""
        flags = [name for name in FEATURES if getattr(self, name) is True]
        return [*flags, *([f"snapshot_every={self.snapshot_every}"] if self.snapshot_every else [])]


NONE = Features()
FEATURES: tuple[str, ...] = Features.__struct_fields__
