"""The log in memory: the entries behind its base, their chained digests, and which of them are durable.

The base is the last entry that a snapshot replaces (§7): its index, its term, and the digest of all entries up to it.
Without a snapshot it is (0, 0, ""), and the entries begin at index 1.

Each entry has the number (lsn) of the write-ahead record that holds it. The entry is durable once that record is, so
one growing number, the durable lsn, says how much of the log is durable.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from hashlib import blake2b
from operator import attrgetter

from raft_chaos.raft.state.messages import Entry

_term = attrgetter("term")


class CompactedError(LookupError):
    """The entry is not in the log any more: a snapshot has replaced it."""


class Log:
    """Invariant: `base_index <= last_index` and `durable_index <= last_index`; lsns grow with the index.

    Entry i is at position i - base_index - 1.
    """

    __slots__ = ("_base", "_digests", "_entries", "_lsns", "base_index", "base_lsn", "durable_index", "last_index")

    def __init__(self, base_index: int = 0, base_term: int = 0, base_digest: str = "") -> None:
        self._entries: list[Entry] = []
        self._digests: list[bytes] = []
        self._lsns: list[int] = []
        self.base_index = base_index
        self._base = (base_term, bytes.fromhex(base_digest))
        self.base_lsn = 0  # the record that makes all up to the base durable
        self.durable_index = base_index
        self.last_index = base_index  # an attribute, since every message reads it several times

    @property
    def base_term(self) -> int:
        return self._base[0]

    @property
    def base_digest(self) -> str:
        return self._base[1].hex()

    @property
    def last_term(self) -> int:
        return self._entries[-1].term if self._entries else self._base[0]

    def term_at(self, index: int) -> int:
        """The term of the entry at `index`; 0 before the first. `index` must not lie beyond the last.

        Raises CompactedError for an entry before the base; so do `entry` (also for the base itself) and `digest`.
        """
        place = index - self.base_index
        return self._entries[place - 1].term if place > 0 else self._at_base(place)[0]

    def entry(self, index: int) -> Entry:
        place = index - self.base_index
        if place <= 0:
            raise CompactedError(f"entry {index}; the log begins after {self.base_index}")
        return self._entries[place - 1]

    def digest(self, index: int) -> str:
        """The digest of entries 1 to `index`, 16 hexadecimal digits; "" for index 0."""
        place = index - self.base_index
        return (self._digests[place - 1] if place > 0 else self._at_base(place)[1]).hex()

    def lsn(self, index: int) -> int:
        """The write-ahead record that makes the entry at `index` durable; 0 for index 0."""
        place = index - self.base_index
        return self._lsns[place - 1] if place > 0 else self.base_lsn

    def _at_base(self, place: int) -> tuple[int, bytes]:
        if place < 0:
            raise CompactedError(f"entry {self.base_index + place}; the log begins after {self.base_index}")
        return self._base

    def slice(self, from_index: int, max_entries: int, max_bytes: int) -> list[Entry]:
        """Entries from `from_index`, limited in number and in bytes of commands, but at least one if there is one."""
        place = from_index - self.base_index - 1
        if place < 0:
            raise CompactedError(f"entry {from_index}; the log begins after {self.base_index}")
        chunk = self._entries[place : place + max_entries]
        size = 0
        for taken, entry in enumerate(chunk):
            size += len(entry.command)
            if size > max_bytes and taken:
                return chunk[:taken]
        return chunk

    def behind(self, index: int) -> list[Entry]:
        """All entries behind `index`, which is the base or lies behind it."""
        return self._entries[index - self.base_index :]

    def append(self, entry: Entry, lsn: int) -> int:
        """Adds an entry at the end; returns its index."""
        previous = self._digests[-1] if self._digests else self._base[1]
        digest = blake2b(b"%b%d:%b" % (previous, entry.term, entry.command), digest_size=8)
        self._entries.append(entry)
        self._digests.append(digest.digest())
        self._lsns.append(lsn)
        self.last_index += 1
        return self.last_index

    def truncate(self, from_index: int) -> None:
        """Deletes the entry at `from_index` and all that follow it (§5.3). The base stays."""
        place = max(from_index - self.base_index - 1, 0)
        del self._entries[place:]
        del self._digests[place:]
        del self._lsns[place:]
        self.last_index = self.base_index + len(self._entries)
        self.durable_index = min(self.durable_index, self.last_index)

    def compact(self, index: int) -> None:
        """Moves the base to the entry at `index`, which the log holds: a snapshot has all up to it (§7)."""
        place = index - self.base_index
        if place > 0:
            self.base_lsn = self._lsns[place - 1]
            self._base = (self._entries[place - 1].term, self._digests[place - 1])
            self.base_index = index
            del self._entries[:place], self._digests[:place], self._lsns[:place]

    def clear(self, base_index: int, base_term: int, base_digest: str) -> None:
        """The log is empty behind this base, the last entry that another node's snapshot replaces (§7)."""
        self.truncate(0)
        self.last_index = self.base_index = base_index
        self._base = (base_term, bytes.fromhex(base_digest))

    def rests_on(self, lsn: int) -> None:
        """This record holds the whole log, with what its base stands for: all of it is durable once this record is."""
        self.base_lsn = lsn
        self._lsns = [lsn] * len(self._lsns)
        self.durable_index = 0

    def mark_durable(self, lsn: int) -> None:
        """All records up to `lsn` are now durable."""
        place, lsns = self.durable_index - self.base_index, self._lsns
        if place < 0:
            if self.base_lsn > lsn:
                return
            place = 0
        while place < len(lsns) and lsns[place] <= lsn:
            place += 1
        self.durable_index = self.base_index + place

    def first_index_of_term_at(self, index: int) -> int:
        """The first index that the log still has with the same term as `index` (terms never decrease along a log,
        §5.3). `index` must not lie before the base."""
        place, term = index - self.base_index, self.term_at(index)
        if term == self._base[0] and self.base_index:
            return self.base_index
        return self.base_index + bisect_left(self._entries, term, 0, place, key=_term) + 1

    def last_index_of_term(self, term: int, at_most: int) -> int:
        """The last index not beyond `at_most` whose term is `term`; 0 if there is none, or if it is before the base."""
        index = min(at_most, self.last_index)
        if index < self.base_index:
            return 0
        index = self.base_index + bisect_right(self._entries, term, 0, index - self.base_index, key=_term)
        return index if index and self.term_at(index) == term else 0
