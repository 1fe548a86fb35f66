"""The log in memory: entries from index 1, their chained digests, and which of them are durable.

Each entry has the number (lsn) of the write-ahead record that holds it. The entry is durable once that record is, so
one growing number, the durable lsn, says how much of the log is durable.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from hashlib import blake2b
from operator import attrgetter

from raft_chaos.raft.state.messages import Entry

_NO_DIGEST = b""
_term = attrgetter("term")


class Log:
    """Invariant: `durable_index <= last_index`; lsns grow with the index."""

    __slots__ = ("_digests", "_entries", "_lsns", "durable_index", "last_index")

    def __init__(self) -> None:
        self._entries: list[Entry] = []
        self._digests: list[bytes] = []
        self._lsns: list[int] = []
        self.durable_index = 0
        self.last_index = 0  # an attribute, since every message reads it several times

    @property
    def last_term(self) -> int:
        return self._entries[-1].term if self._entries else 0

    def term_at(self, index: int) -> int:
        """The term of the entry at `index`; 0 before the first. `index` must not lie beyond the last."""
        return self._entries[index - 1].term if index else 0

    def entry(self, index: int) -> Entry:
        return self._entries[index - 1]

    def digest(self, index: int) -> str:
        """The digest of entries 1 to `index`, 16 hexadecimal digits; "" for index 0."""
        return self._digests[index - 1].hex() if index else ""

    def lsn(self, index: int) -> int:
        """The write-ahead record that makes the entry at `index` durable; 0 for index 0."""
        return self._lsns[index - 1] if index else 0

    def slice(self, from_index: int, max_entries: int, max_bytes: int) -> list[Entry]:
        """Entries from `from_index`, limited in number and in bytes of commands, but at least one if there is one."""
        chunk = self._entries[from_index - 1 : from_index - 1 + max_entries]
        size = 0
        for taken, entry in enumerate(chunk):
            size += len(entry.command)
            if size > max_bytes and taken:
                return chunk[:taken]
        return chunk

    def append(self, entry: Entry, lsn: int) -> int:
        """Adds an entry at the end; returns its index."""
        previous = self._digests[-1] if self._digests else _NO_DIGEST
        digest = blake2b(b"%b%d:%b" % (previous, entry.term, entry.command), digest_size=8)
        self._entries.append(entry)
        self._digests.append(digest.digest())
        self._lsns.append(lsn)
        self.last_index += 1
        return self.last_index

    def truncate(self, from_index: int) -> None:
        """Deletes the entry at `from_index` and all that follow it (§5.3)."""
        del self._entries[from_index - 1 :]
        del self._digests[from_index - 1 :]
        del self._lsns[from_index - 1 :]
        self.last_index = len(self._entries)
        self.durable_index = min(self.durable_index, from_index - 1)

    def mark_durable(self, lsn: int) -> None:
        """All records up to `lsn` are now durable."""
        index, lsns = self.durable_index, self._lsns
        while index < len(lsns) and lsns[index] <= lsn:
            index += 1
        self.durable_index = index

    def first_index_of_term_at(self, index: int) -> int:
        """The first index with the same term as `index` (terms never decrease along a log, §5.3)."""
        return bisect_left(self._entries, self.term_at(index), 0, index, key=_term) + 1

    def last_index_of_term(self, term: int, at_most: int) -> int:
        """The last index not beyond `at_most` whose term is `term`; 0 if there is none."""
        index = bisect_right(self._entries, term, 0, min(at_most, self.last_index), key=_term)
        return index if index and self.term_at(index) == term else 0
