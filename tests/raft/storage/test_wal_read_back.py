"""Entries read back from the write-ahead log: the ones that were written last at their index, or an error."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from raft_chaos.raft.state.messages import Append, Entry, HardState, Record, SaveSnapshot, Snapshot, Truncate
from raft_chaos.raft.storage.disk import Disk, MemoryDisk, OsDisk
from raft_chaos.raft.storage.failing import DiskFailedError, Failing
from raft_chaos.raft.storage.fault_disk import FaultDisk
from raft_chaos.raft.storage.identity import Identity
from raft_chaos.raft.storage.log_file import FILE, intact_records
from raft_chaos.raft.storage.wal import WriteAheadLog

US = Identity("c", "n1")
ALL = 1 << 30


def entry(term: int, index: int) -> Entry:
    return Entry(term, b"%d.%d" % (term, index))


def appends(term: int, first: int, last: int) -> list[Record]:
    return [Append(index, entry(term, index)) for index in range(first, last + 1)]


def written(disk: Disk, *batches: Sequence[Record]) -> WriteAheadLog:
    wal = WriteAheadLog(disk)
    wal.recover(US)
    for batch in batches:
        wal.append(batch)
        wal.sync()
    return wal


BATCHES: list[list[Record]] = [
    [HardState(1, None), *appends(1, 1, 4)],
    appends(1, 5, 5),
    [Truncate(4), HardState(2, None), *appends(2, 4, 7)],
]
LEFT = [entry(1, 1), entry(1, 2), entry(1, 3), entry(2, 4), entry(2, 5), entry(2, 6), entry(2, 7)]


@pytest.fixture(params=["memory", "os", "fault"])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Disk:
    match request.param:
        case "memory":
            return MemoryDisk()
        case "os":
            return OsDisk(tmp_path)
        case _:
            return FaultDisk(OsDisk(tmp_path))


def test_every_range_is_read_back_as_it_was_written_last(disk: Disk) -> None:
    wal = written(disk, *BATCHES)
    for first in range(1, 8):
        for last in range(first, 8):
            assert wal.read_entries(first, last, ALL) == LEFT[first - 1 : last]
    assert wal.read_entries(2, 7, 4) == LEFT[1:3]
    assert wal.read_entries(2, 7, 1) == LEFT[1:2]
    disk.close()


def test_so_it_is_after_a_restart(disk: Disk) -> None:
    written(disk, *BATCHES)
    assert written(disk).read_entries(1, 7, ALL) == LEFT
    disk.close()


def test_what_is_behind_a_snapshot_is_read_from_the_new_file(disk: Disk) -> None:
    wal = written(disk, *BATCHES)
    assert wal.read_entries(4, 4, ALL) == LEFT[3:4]  # now the old file is open
    snapshot = Snapshot(5, 2, "00" * 8, b"state")
    wal.append([SaveSnapshot(snapshot, HardState(2, None), LEFT[5:])])
    assert wal.read_entries(6, 7, ALL) == LEFT[5:]
    wal.sync()
    assert wal.read_entries(6, 7, ALL) == LEFT[5:]
    wal.append(appends(2, 8, 9))
    wal.sync()
    assert wal.read_entries(6, 9, ALL) == [*LEFT[5:], entry(2, 8), entry(2, 9)]
    assert written(disk).read_entries(7, 9, ALL) == [LEFT[6], entry(2, 8), entry(2, 9)]
    disk.close()


@pytest.mark.parametrize("damage", ["length", "body", "end"])
def test_a_record_that_is_damaged_is_a_failed_disk(damage: str) -> None:
    disk = MemoryDisk()
    wal = written(disk, *BATCHES)
    begin, end = intact_records(disk.read(FILE))[-1]  # it holds entries 4 to 7
    if damage == "end":
        disk.truncate(FILE, end - 1)
    else:
        disk.files[FILE][begin + (3 if damage == "length" else 9)] ^= 0x40
    assert wal.read_entries(1, 3, ALL) == LEFT[:3]
    with pytest.raises(DiskFailedError, match=rf"cannot read an entry back: the record at offset {begin} is damaged"):
        wal.read_entries(3, 7, ALL)


def test_a_disk_that_cannot_read_ends_the_node_and_is_not_an_empty_log() -> None:
    fault_disk = FaultDisk(MemoryDisk())
    wal = written(fault_disk, *BATCHES)
    fault_disk.failing = Failing("read_back", "EIO", once=True)
    with pytest.raises(DiskFailedError, match=r"raft\.wal: cannot read an entry back.*not one that is missing"):
        wal.read_entries(1, 7, ALL)
    assert fault_disk.failed == 1
    assert wal.read_entries(1, 7, ALL) == LEFT


def test_a_part_of_a_file_has_what_is_not_synced_too(tmp_path: Path) -> None:
    layer = FaultDisk(OsDisk(tmp_path))
    layer.append("a", b"0123")
    assert layer.read_at("a", 1, 2) == b"12"
    layer.sync("a")
    layer.append("a", b"4567")
    assert (layer.read_at("a", 1, 2), layer.read_at("a", 2, 4), layer.read_at("a", 6, 9)) == (b"12", b"2345", b"67")
    layer.close()
