"""A snapshot that arrives in parts (§7): those that have come, in order."""

from __future__ import annotations

from raft_chaos.raft.state.messages import InstallSnapshot


class Incoming:
    """The snapshot of which `first` is a part. Parts are added in the order of their offsets, and joined once: a copy
    of a large snapshot costs more than its decoding."""

    __slots__ = ("_joined", "_of", "_parts", "received")

    def __init__(self, first: InstallSnapshot) -> None:
        self._of = _identity(first)
        self._parts: list[bytes] = []
        self._joined = (0, b"", b"")  # the size and the last part of what was joined, and the whole
        self.received = 0
        """How many bytes have come."""

    def is_of(self, m: InstallSnapshot) -> bool:
        """Whether the message brings a part of this snapshot."""
        return _identity(m) == self._of

    def add(self, data: bytes) -> None:
        self._parts.append(data)
        self.received += len(data)

    def data(self, then: bytes = b"") -> bytes:
        """All that has come, and `then` as the part behind it."""
        parts = [*self._parts, then] if then else self._parts
        if not parts:
            return b""
        size, last, joined = self._joined
        if last is not parts[-1] or size != self.received + len(then):  # asked before the last part is taken, and after
            joined = b"".join(parts)
            self._joined = len(joined), parts[-1], joined
        return joined


def _identity(m: InstallSnapshot) -> tuple[int, int, str, int, int]:
    """All that tells a snapshot from others. It does not name the sender: equal snapshots of two leaders are one."""
    return m.last_included_index, m.last_included_term, m.digest, m.size, m.checksum
