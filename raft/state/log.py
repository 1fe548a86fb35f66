"""The log in memory: the entries behind its base, their chained digests, and which of them are durable.

The base is the last entry that a snapshot replaces (§7): its index, its term, and the digest of all entries up to it.
Without a snapshot it is (0, 0, ""), and the entries begin at index 1.

Each entry has the number (lsn) of the write-ahead record that holds it. The entry is durable once that record is, so
one growing number, the durable lsn, says how much of the log is durable.

Of every entry the log keeps its term, its digest and its lsn, 24 bytes in all, since the algorithm needs these at any
time. The entries themselves, with their commands, are a cache: where the log has a `source`, only the newest ones stay
in memory, and an older one is read back from the disk when a follower or the state machine needs it. So a follower
that is slow or dead does not make its leader grow. Only durable entries leave the cache: what is not on the disk yet
could not be read back.

What is read back must be the entry that was appended: its digest says so. A source that cannot read raises an error,
and the error ends the node. It must never be taken for an empty log, or for one that matches nothing (openraft #1795).
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from hashlib import blake2b
from typing import Protocol

from raft_chaos.raft.state.messages import Entry

CACHE_BYTES = 64 * 1024 * 1024
"""How much of the entries stays in memory, unless somebody says how much."""
ENTRY_BYTES = 128
"""What an entry costs in memory besides its command, about: the bound holds for empty commands, too."""
READ_ENTRIES, READ_BYTES = 1_000, 1_000_000
"""How much is read back at once: whoever needs one old entry mostly needs those that follow it, too."""
_DIGEST_BYTES = 8


class CompactedError(LookupError):
    """The entry is not in the log any more: a snapshot has replaced it."""


class WrongEntryError(Exception):
    """What was read back is not the entry that was appended there."""


class EntrySource(Protocol):
    """Where entries that are durable can be read back."""

    def read_entries(self, first: int, last: int, max_bytes: int) -> list[Entry]:
        """The entries from `first`, at most to `last`, with about `max_bytes` of commands, but at least one.

        Raises OSError if they cannot be read; the node must then end.
        """
        ...


class Log:
    """Invariant: `base_index <= last_index` and `durable_index <= last_index`; lsns grow with the index.

    Entry i is at place i - base_index - 1. The first `_evicted` places are those that are not in memory.
    """

    __slots__ = (
        "_base",
        "_cache_bytes",
        "_digests",
        "_entries",
        "_evicted",
        "_held",
        "_last_digest",
        "_lsns",
        "_read",
        "_read_from",
        "_source",
        "_terms",
        "base_index",
        "base_lsn",
        "durable_index",
        "last_index",
    )

    def __init__(
        self,
        base_index: int = 0,
        base_term: int = 0,
        base_digest: str = "",
        *,
        source: EntrySource | None = None,
        cache_bytes: int = CACHE_BYTES,
    ) -> None:
        self._terms = array("Q")
        self._digests = bytearray()
        self._lsns = array("Q")
        self._entries: list[Entry] = []
        self._evicted = 0
        self._held = 0  # bytes of `_entries`
        self._source = source
        self._cache_bytes = cache_bytes
        self._read_from, self._read = 0, list[Entry]()  # what was read back last, and the index of its first entry
        self.base_index = base_index
        self._base = (base_term, bytes.fromhex(base_digest))
        self._last_digest = self._base[1]
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
        return self._terms[-1] if self._terms else self._base[0]

    @property
    def held_bytes(self) -> int:
        """About how much memory the entries take: those in the cache, and those that were read back last."""
        return self._held + sum(map(_cost, self._read))

    @property
    def evicted(self) -> int:
        """How many entries behind the base are not in memory."""
        return self._evicted

    def term_at(self, index: int) -> int:
        """The term of the entry at `index`; 0 before the first. `index` must not lie beyond the last.

        Raises CompactedError for an entry before the base; so do `entry` (also for the base itself) and `digest`.
        """
        place = index - self.base_index
        return self._terms[place - 1] if place > 0 else self._at_base(place)[0]

    def entry(self, index: int) -> Entry:
        """Raises OSError if it has to be read back and cannot be; so do `slice` and `behind`."""
        place = index - self.base_index - 1
        if place < 0:
            raise CompactedError(f"entry {index}; the log begins after {self.base_index}")
        return self._entries[place - self._evicted] if place >= self._evicted else self._read_back(index)

    def digest(self, index: int) -> str:
        """The digest of entries 1 to `index`, 16 hexadecimal digits; "" for index 0."""
        return self._digest(index).hex()

    def _digest(self, index: int) -> bytes | bytearray:
        place = index - self.base_index
        if place <= 0:
            return self._at_base(place)[1]
        return self._digests[(place - 1) * _DIGEST_BYTES : place * _DIGEST_BYTES]

    def lsn(self, index: int) -> int:
        """The write-ahead record that makes the entry at `index` durable; 0 for index 0."""
        place = index - self.base_index
        return self._lsns[place - 1] if place > 0 else self.base_lsn

    def _at_base(self, place: int) -> tuple[int, bytes]:
        if place < 0:
            raise CompactedError(f"entry {self.base_index + place}; the log begins after {self.base_index}")
        return self._base

    def between(self, first: int, last: int) -> Iterable[Entry]:
        """The entries from `first` to `last`, which the log has. Those that have to be read back are read while
        somebody takes them, so that they are not in memory together; that raises OSError if it fails."""
        place = first - self.base_index - 1 - self._evicted
        if place >= 0:
            return self._entries[place : place + last + 1 - first]
        return map(self.entry, range(first, last + 1))

    def slice(self, from_index: int, max_entries: int, max_bytes: int) -> list[Entry]:
        """Entries from `from_index`, limited in number and in bytes of commands, but at least one if there is one."""
        place = from_index - self.base_index - 1
        if place < 0:
            raise CompactedError(f"entry {from_index}; the log begins after {self.base_index}")
        if place < self._evicted:
            return self._old_slice(from_index, max_entries, max_bytes)
        place -= self._evicted
        chunk = self._entries[place : place + max_entries]
        size = 0
        for taken, entry in enumerate(chunk):
            size += len(entry.command)
            if size > max_bytes and taken:
                return chunk[:taken]
        return chunk

    def _old_slice(self, from_index: int, max_entries: int, max_bytes: int) -> list[Entry]:
        """The same for a slice that begins with an entry that is not in memory."""
        chunk: list[Entry] = []
        size = 0
        for index in range(from_index, min(from_index + max_entries, self.last_index + 1)):
            entry = self.entry(index)
            size += len(entry.command)
            if size > max_bytes and chunk:
                break
            chunk.append(entry)
        return chunk

    def behind(self, index: int) -> list[Entry]:
        """All entries behind `index`, which is the base or lies behind it."""
        place = index - self.base_index
        if place >= self._evicted:
            return self._entries[place - self._evicted :]
        return [self.entry(later) for later in range(index + 1, self.last_index + 1)]

    # ---- changes ----------------------------------------------------------------------------------------------------

    def append(self, entry: Entry, lsn: int) -> int:
        """Adds an entry at the end; returns its index."""
        self._last_digest = digest = _chained(self._last_digest, entry)
        self._terms.append(entry.term)
        self._digests += digest
        self._lsns.append(lsn)
        self._entries.append(entry)
        self._held += ENTRY_BYTES + len(entry.command)
        if self._held > self._cache_bytes:
            self._evict()
        self.last_index += 1
        return self.last_index

    def truncate(self, from_index: int) -> None:
        """Deletes the entry at `from_index` and all that follow it (§5.3). The base stays."""
        place = max(from_index - self.base_index - 1, 0)
        del self._terms[place:]
        del self._digests[place * _DIGEST_BYTES :]
        del self._lsns[place:]
        if place >= self._evicted:
            self._held -= sum(map(_cost, self._entries[place - self._evicted :]))
            del self._entries[place - self._evicted :]
        else:
            self._evicted, self._entries, self._held = place, [], 0
        self._read = []  # it may be of entries that are deleted now
        self._last_digest = bytes(self._digests[-_DIGEST_BYTES:]) if self._digests else self._base[1]
        self.last_index = self.base_index + len(self._terms)
        self.durable_index = min(self.durable_index, self.last_index)

    def compact(self, index: int) -> None:
        """Moves the base to the entry at `index`, which the log holds: a snapshot has all up to it (§7)."""
        place = index - self.base_index
        if place > 0:
            self.base_lsn = self._lsns[place - 1]
            self._base = (self._terms[place - 1], bytes(self._digest(index)))
            self.base_index = index
            in_memory = max(place - self._evicted, 0)
            self._held -= sum(map(_cost, self._entries[:in_memory]))
            self._evicted = max(self._evicted - place, 0)
            del self._entries[:in_memory], self._terms[:place], self._lsns[:place]
            del self._digests[: place * _DIGEST_BYTES]

    def clear(self, base_index: int, base_term: int, base_digest: str) -> None:
        """The log is empty behind this base, the last entry that another node's snapshot replaces (§7)."""
        self.truncate(0)
        self.last_index = self.base_index = base_index
        self._base = (base_term, bytes.fromhex(base_digest))
        self._last_digest = self._base[1]

    def rests_on(self, lsn: int) -> None:
        """This record holds the whole log, with what its base stands for: all of it is durable once this record is."""
        self.base_lsn = lsn
        self._lsns = array("Q", [lsn]) * len(self._lsns)
        self.durable_index = 0

    def mark_durable(self, lsn: int) -> None:
        """All records up to `lsn` are now durable."""
        place, lsns = self.durable_index - self.base_index, self._lsns
        if place < 0:
            if self.base_lsn > lsn:
                return
            place = 0
        self.durable_index = self.base_index + bisect_right(lsns, lsn, place)
        if self._held > self._cache_bytes:
            self._evict()

    # ---- what is not in memory --------------------------------------------------------------------------------------

    def _evict(self) -> None:
        """The oldest durable entries leave the cache until a quarter of it is free: to take out one at a time would
        move all others each time."""
        if self._source is None:
            return
        durable = self.durable_index - self.base_index - self._evicted
        count, left, aim = 0, self._held, self._cache_bytes * 3 // 4
        while count < durable and left > aim:
            left -= _cost(self._entries[count])
            count += 1
        if count > 0:
            del self._entries[:count]
            self._evicted += count
            self._held = left

    def _read_back(self, index: int) -> Entry:
        """An entry that is on the disk alone."""
        place = index - self._read_from
        if not 0 <= place < len(self._read):
            assert self._source is not None, "it evicts none otherwise"
            last = min(self.base_index + self._evicted, index + READ_ENTRIES - 1)
            self._read = []
            read = self._source.read_entries(index, last, min(self._cache_bytes, READ_BYTES))
            self._check(index, read)
            self._read_from, self._read, place = index, read, 0
        return self._read[place]

    def _check(self, first: int, entries: list[Entry]) -> None:
        """Raises WrongEntryError unless these are the entries that were appended from `first` on."""
        for index, entry in enumerate(entries, first):
            if _chained(bytes(self._digest(index - 1)), entry) != self._digest(index):
                raise WrongEntryError(f"entry {index} was read back, and is not the one that was appended there")

    # ---- terms ------------------------------------------------------------------------------------------------------

    def first_index_of_term_at(self, index: int) -> int:
        """The first index that the log still has with the same term as `index` (terms never decrease along a log,
        §5.3). `index` must not lie before the base."""
        place, term = index - self.base_index, self.term_at(index)
        if term == self._base[0] and self.base_index:
            return self.base_index
        return self.base_index + bisect_left(self._terms, term, 0, place) + 1

    def last_index_of_term(self, term: int, at_most: int) -> int:
        """The last index not beyond `at_most` whose term is `term`; 0 if there is none, or if it is before the base."""
        index = min(at_most, self.last_index)
        if index < self.base_index:
            return 0
        index = self.base_index + bisect_right(self._terms, term, 0, index - self.base_index)
        return index if index and self.term_at(index) == term else 0


def _cost(entry: Entry) -> int:
    return ENTRY_BYTES + len(entry.command)


def _chained(previous: bytes, entry: Entry) -> bytes:
    # Every entry of every node costs this, so it is two additions and not one `%`.
    return blake2b(previous + b"%d:" % entry.term + entry.command, digest_size=_DIGEST_BYTES).digest()
