"""Parts of Raft beyond §5 that a cluster can have or not. All nodes of a cluster have the same."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple

import msgspec


class _Number(NamedTuple):
    """A feature that is a number: the number unless somebody says one, and what it counts."""

    otherwise: int
    of: str
    example: int


NUMBERS: dict[str, _Number] = {
    "snapshot_every": _Number(1_000, "entries", 20),
    "cache_bytes": _Number(1_000_000, "bytes", 5_000),
    "max_sessions": _Number(1_000, "sessions", 10),
    "max_bytes_in_flight": _Number(1_000_000, "bytes", 1_000),
    "max_waiting": _Number(1_000, "requests", 100),
}
"""The features that are numbers, and have one if nobody says which."""
MEMBERSHIP = ("joint", "single")
"""How the members may change; the first, unless somebody says which."""


class Features(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """Which of these parts the nodes have; none, unless somebody asks for it.

    `pre_vote`: a node asks whether it would win before it begins an election (Ongaro's thesis, §9.6).
    `check_quorum`: a leader that a majority does not answer steps down, and a node that hears a leader does not heed
    candidates (thesis, §6.2 and §4.2.3).
    `snapshot_every`: a node takes a snapshot of its state machine whenever it has applied so many entries since the
    last one, and drops them from its log (§7); 0: never.
    `membership`: the members of the cluster may change, "joint" by joint consensus (§6), or "single" by one voter at a
    time (thesis, §4.1). It needs `check_quorum`, or else removed nodes would disturb the others (§6, thesis §4.2.3).
    `first_voters`: a new cluster begins with so many of its nodes as voters, and the others are no members yet; 0: with
    all.
    `cache_bytes`: a node keeps about so many bytes of entries in memory, and reads older ones back from its disk
    (`state.log`); 0: `CACHE_BYTES`.
    `max_sessions`: the state machine remembers so many sessions of clients (§8; thesis, §6.3), and refuses commands of
    those that it has forgotten (`replica.machine`); 0: `MAX_SESSIONS`.
    `max_bytes_in_flight`: about so many bytes of commands may be on their way to one follower; 0: as many as `Timing`
    says.
    `max_waiting`: so many commands and reads may wait at a leader for their answers, and it refuses more at once; 0: as
    many as `Timing` says.
    `persist_commit`: a node writes its commit index to its log, along with the next entries, and applies what was
    committed as soon as it starts again.
    `lease_reads`: a leader answers reads by a lease from its own state without asking anybody (thesis, §6.4.1). It
    needs `check_quorum`, or else voters that hear the leader could elect another one meanwhile.
    """

    pre_vote: bool = False
    check_quorum: bool = False
    snapshot_every: int = 0
    membership: Literal["", "joint", "single"] = ""
    first_voters: int = 0
    cache_bytes: int = 0
    max_sessions: int = 0
    persist_commit: bool = False
    lease_reads: bool = False
    max_bytes_in_flight: int = 0
    max_waiting: int = 0

    def __post_init__(self) -> None:
        if self.lease_reads and not self.check_quorum:
            raise ValueError(
                "'lease_reads' needs check_quorum too, or voters that hear the leader could elect another one meanwhile"
            )

    @classmethod
    def of(cls, names: Iterable[str]) -> Features:
        """With these, and no other: "pre_vote", or "snapshot_every=20". Raises ValueError for what there is not."""
        chosen: dict[str, bool | int | str] = {}
        for one in names:
            name, _, number = one.partition("=")
            if name in NUMBERS:
                otherwise, of, example = NUMBERS[name]
                if number and not (number.isdecimal() and int(number)):
                    raise ValueError(f"{one!r}: expected a number of {of}, such as {name}={example}")
                chosen[name] = int(number or otherwise)
            elif name == "membership":
                chosen[name] = number or MEMBERSHIP[0]
                if chosen[name] not in MEMBERSHIP:
                    raise ValueError(f"{one!r}: expected membership={' or membership='.join(MEMBERSHIP)}")
            elif name == "first_voters":
                if not (number.isdecimal() and int(number)):
                    raise ValueError(f"{one!r}: expected a number of nodes, such as first_voters=3")
                chosen[name] = int(number)
            elif one in FLAGS:
                chosen[one] = True
            else:
                raise ValueError(f"{one!r} is unknown; expected some of {', '.join(FEATURES)}")
        features = cls(**chosen)  # type: ignore[arg-type]
        if features.membership and not features.check_quorum:
            raise ValueError("'membership' needs check_quorum too, or removed nodes would disturb the others")
        if features.first_voters and not features.membership:
            raise ValueError("'first_voters' needs membership too, or the other nodes could never become members")
        return features

    @property
    def names(self) -> list[str]:
        """What `of` makes them from."""
        flags = [name for name in FLAGS if getattr(self, name)]
        values = {name: getattr(self, name) for name in FEATURES if name not in FLAGS}
        return [*flags, *(f"{name}={value}" for name, value in values.items() if value)]


NONE = Features()
FEATURES: tuple[str, ...] = Features.__struct_fields__
FLAGS = ("pre_vote", "check_quorum", "persist_commit", "lease_reads")
"""Those that are on or off; the others have a value."""
