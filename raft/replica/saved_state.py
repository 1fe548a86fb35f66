"""The state machine's whole state as bytes: the data of a snapshot (§7).

    version 3   [3, keys, values, sessions, horizon, sinces]: the items in the order of their last change, and the
                sessions, least recently used first
    version 2   [2, items, sessions, horizon, sinces], and an item is a pair
    version 1   [1, items, sessions]: no session has a `since` (beside 0), and none was ever forgotten

A state is written in the earliest version that can hold it, so that nodes of earlier versions read it, unless it is
large: decoding then costs mostly memory that was never touched before, and two lists need no pair for each item. A
state that another node sent is decoded once, to check it (`check_saved`), and its dictionary is made while the disk
works (`prepare_checked`); the machine then takes both over.

The digests follow from the state, so they are made anew and not believed.
"""

from __future__ import annotations

import gc
from typing import TypeAlias

import msgspec

from raft_chaos.invariants.events import MALFORMED
from raft_chaos.raft.replica.result import Place, Result

_READS = (1, 2, 3)
LARGE = 10_000
"""So many items are written in version 3."""

Value: TypeAlias = str | list[str]
SavedSession: TypeAlias = tuple[str, int, Result, Place]
"""A client, the serial of its latest command, the answer, and the entry that decided it."""


class SnapshotError(Exception):
    """The bytes are no snapshot of a state machine that this version can read. The message says why."""


class SavedState:
    """A state that was decoded. `sinces` has a number for each of the sessions. Whoever takes it over may change it."""

    __slots__ = ("_items", "_keys", "_values", "horizon", "sessions", "sinces")

    def __init__(
        self,
        keys: list[str],
        values: list[Value],
        sessions: list[SavedSession],
        horizon: int = 0,
        sinces: list[int] | None = None,
    ) -> None:
        self._keys = keys
        self._values = values
        self._items: dict[str, Value] | None = None
        self.sessions = sessions
        self.horizon = horizon
        self.sinces = [0] * len(sessions) if sinces is None else sinces

    def items(self) -> dict[str, Value]:
        """All items, in the order of their last change. Makes them only once."""
        if self._items is None:
            self._items = dict(zip(self._keys, self._values, strict=True))
            self._keys, self._values = [], []
        return self._items


class _Lists(msgspec.Struct, array_like=True, tag=3, gc=False):
    keys: list[str]
    values: list[Value]
    sessions: list[SavedSession]
    horizon: int
    sinces: list[int]

    def __post_init__(self) -> None:
        if len(self.keys) != len(self.values):
            raise ValueError(f"{len(self.keys)} keys, and {len(self.values)} values")
        _check_sinces(self.sessions, self.sinces)

    def state(self) -> SavedState:
        return SavedState(self.keys, self.values, self.sessions, self.horizon, self.sinces)


class _Pairs(msgspec.Struct, array_like=True, tag=2, gc=False):
    items: list[tuple[str, Value]]
    sessions: list[SavedSession]
    horizon: int
    sinces: list[int]

    def __post_init__(self) -> None:
        _check_sinces(self.sessions, self.sinces)

    def state(self) -> SavedState:
        keys, values = [key for key, _ in self.items], [value for _, value in self.items]
        return SavedState(keys, values, self.sessions, self.horizon, self.sinces)


class _WithoutSinces(msgspec.Struct, array_like=True, tag=1, gc=False):
    items: list[tuple[str, Value]]
    sessions: list[SavedSession]

    def state(self) -> SavedState:
        return SavedState([key for key, _ in self.items], [value for _, value in self.items], self.sessions)


def _check_sinces(sessions: list[SavedSession], sinces: list[int]) -> None:
    if len(sinces) != len(sessions):
        raise ValueError(f"{len(sessions)} sessions, and {len(sinces)} numbers that say when they began")


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Lists | _Pairs | _WithoutSinces).decode
_checked: list[tuple[bytes, SavedState]] = []
"""The state that was checked last, if no machine has taken it over since: so that it is decoded only once."""


def encode_state(items: dict[str, Value], sessions: list[SavedSession], horizon: int, sinces: list[int]) -> bytes:
    if len(items) >= LARGE:
        return _encode(_Lists(list(items), list(items.values()), sessions, horizon, sinces))
    pairs = list(items.items())
    if horizon or any(sinces):
        return _encode(_Pairs(pairs, sessions, horizon, sinces))
    return _encode(_WithoutSinces(pairs, sessions))


def check_saved(data: bytes) -> None:
    """Raises SnapshotError."""
    _checked[:] = [(data, read_saved(data))]


def prepare_checked() -> None:
    """Makes what the machine will take over of the state that was checked last, if it has not taken it over yet."""
    for _, state in _checked:
        state.items()


def read_saved(data: bytes) -> SavedState:
    """Raises SnapshotError."""
    known, _checked[:] = [state for checked, state in _checked if checked == data], []  # a machine changes its lists
    if known:
        return known[0]
    collects = gc.isenabled()
    gc.disable()  # so many new objects, none of them garbage, would have it look through all that there are
    try:
        saved: _Lists | _Pairs | _WithoutSinces = _decode(data)
        return saved.state()
    except MALFORMED as error:
        version = _version(data)
        if version is None or version in _READS:
            raise SnapshotError(f"the snapshot cannot be decoded: {error}") from None
        raise SnapshotError(
            f"the snapshot has version {version} of its format; this version reads {', '.join(map(str, _READS))}"
        ) from None
    finally:
        if collects:
            gc.enable()


def _version(data: bytes) -> int | None:
    """The first element of a short msgpack array, if it is a small number."""
    return data[1] if len(data) > 1 and 0x90 < data[0] <= 0x9F and data[1] < 0x80 else None
