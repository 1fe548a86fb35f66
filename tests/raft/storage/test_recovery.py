"""Recovery in pieces: it finds what a reading at once finds, and takes bounded memory."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from raft_chaos.raft.state.log import ENTRY_BYTES
from raft_chaos.raft.state.messages import Append, Committed, Entry, FileRecord, HardState, Truncate
from raft_chaos.raft.storage import framing
from raft_chaos.raft.storage.disk import Disk, MemoryDisk, OsDisk
from raft_chaos.raft.storage.identity import Identity
from raft_chaos.raft.storage.log_file import FILE, MAGIC, CorruptLogError, decode_records, encode_record
from raft_chaos.raft.storage.recovery import Fold, RecoveredEntries, fold
from raft_chaos.raft.storage.wal import WriteAheadLog

US = Identity("c", "n1")


def batches_of(random: Random, number: int) -> list[list[FileRecord]]:
    """What a node may write: entries, other terms, and truncations in favour of other entries."""
    batches, last, term = list[list[FileRecord]](), 0, 1
    for _ in range(number):
        batch = list[FileRecord]()
        if last and random.random() < 0.3:
            last = random.randrange(last)
            term += 1
            batch.append(Truncate(last + 1))
        if random.random() < 0.3:
            batch.append(HardState(term, random.choice([None, "n2"])))
        for _ in range(random.randrange(not batch, 6)):
            last += 1
            batch.append(Append(last, Entry(term, random.randbytes(random.randrange(40)))))
        if random.random() < 0.2:
            batch.append(Committed(0))
        batches.append(batch)
    return batches


def written(batches: list[list[FileRecord]], disk: Disk) -> WriteAheadLog:
    wal = WriteAheadLog(disk)
    wal.recover(US)
    for batch in batches:
        wal.append(batch)  # type: ignore[arg-type]
        wal.sync()
    return wal


def outcome(data: bytes) -> object:
    try:
        return decode_records(data)
    except CorruptLogError as error:
        return str(error)


@pytest.mark.parametrize("seed", range(20))
def test_pieces_of_any_size_give_the_same_records_and_the_same_complaints(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    random = Random(seed)
    data = bytearray(MAGIC + b"".join(map(encode_record, batches_of(random, 12))))
    for _ in range(seed % 3):
        data[random.randrange(len(MAGIC), len(data))] ^= 1 << random.randrange(8)
    damaged = bytes(data[: random.choice([len(data), random.randrange(len(data))])])
    at_once = outcome(damaged)
    for piece in (9, 64, 333, len(damaged), len(damaged) + 1):
        monkeypatch.setattr(framing, "PIECE", piece)
        assert outcome(damaged) == at_once


@pytest.mark.parametrize("seed", range(20))
def test_entries_that_are_not_kept_in_memory_are_read_back_from_the_disk(seed: int) -> None:
    batches = batches_of(Random(seed), 40)
    wal = written(batches, MemoryDisk())
    whole = fold(batches)
    folded = Fold(FILE, wal.read_entries, kept_bytes=3 * (ENTRY_BYTES + 20))
    for batch in batches:
        for record in batch:
            folded.take(record)
        assert len(folded._entries) <= 8
    recovered = folded.recovered()
    entries = list(whole.entries)
    assert (recovered.hard_state, recovered.commit_index) == (whole.hard_state, whole.commit_index)
    assert list(recovered.entries) == entries and len(recovered.entries) == len(entries)
    assert [recovered.entries[place] for place in range(len(entries))] == entries
    assert list(recovered.entries[1:-1]) == entries[1:-1]


class Counting(OsDisk):
    """Knows the longest part that was read."""

    longest = 0

    def read(self, name: str, offset: int = 0, size: int | None = None) -> bytes:
        data = super().read(name, offset, size)
        self.longest = max(self.longest, len(data))
        return data


def test_a_long_log_is_recovered_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(framing, "PIECE", 4_000)
    entries = [Entry(1, b"%06d" % number * 10) for number in range(500)]
    disk = Counting(tmp_path)
    written([[Append(index, entry)] for index, entry in enumerate(entries, 1)], disk)
    size = len(disk.read(FILE))
    disk.close()
    disk = Counting(tmp_path)
    wal = WriteAheadLog(disk)
    assert list(wal.recover(US).entries) == entries and wal.size() == size > 30_000
    assert disk.longest == 4_000
    disk.append(FILE, b"torn")
    disk.close()
    disk = Counting(tmp_path)
    wal = WriteAheadLog(disk)
    assert list(wal.recover(US).entries) == entries, "the tail is cut off"
    assert len(disk.read(FILE)) == wal.size() == size
    disk.close()


def test_what_leaves_the_memory_is_given_as_a_sequence() -> None:
    wal = written([[Append(index, Entry(1, b"x" * 100))] for index in range(1, 11)], MemoryDisk())
    folded = Fold(FILE, wal.read_entries, kept_bytes=1_000)
    for index in range(1, 11):
        folded.take(Append(index, Entry(1, b"x" * 100)))
    entries = folded.recovered().entries
    assert isinstance(entries, RecoveredEntries)
    with pytest.raises(IndexError):
        entries[10]
    assert entries[-1] == entries[0] == Entry(1, b"x" * 100)
