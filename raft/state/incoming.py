"""A snapshot that arrives in parts (§7): those that have come, in order."""

from __future__ import annotations

from raft_chaos.raft.state.messages import InstallSnapshot


class Incoming:
    """The snapshot of which `first` is a part. Parts are added in the order of their offsets."""

    __slots__ = ("_data", "_of")

    def __init__(self, first: InstallSnapshot) -> None:
        self._of = _identity(first)
        self._data = bytearray()

    @property
    def received(self) -> int:
        """How many bytes have come."""
        return len(self._data)

    def is_of(self, m: InstallSnapshot) -> bool:
        """Whether the message brings a part of this snapshot."""
        return _identity(m) == self._of

    def add(self, data: bytes) -> None:
        self._data += data

    def data(self) -> bytes:
        return bytes(self._data)


def _identity(m: InstallSnapshot) -> tuple[int, int, str, int, int]:
    """All that tells a snapshot from others. It does not name the sender: equal snapshots of two leaders are one."""
    return m.last_included_index, m.last_included_term, m.digest, m.size, m.checksum
