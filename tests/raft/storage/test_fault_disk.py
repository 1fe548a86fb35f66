"""A disk that fails: which operation, how often, and what is left of the data."""

from __future__ import annotations

import errno
import re

import pytest

from raft_chaos.raft.state.messages import Append, Entry
from raft_chaos.raft.storage.disk import MemoryDisk
from raft_chaos.raft.storage.failing import DiskFailedError, Failing
from raft_chaos.raft.storage.fault_disk import BLOCK, HOLES, FaultDisk, with_holes
from raft_chaos.raft.storage.identity import Identity
from raft_chaos.raft.storage.log_file import FILE, encode_record
from raft_chaos.raft.storage.wal import WriteAheadLog

OWNER = Identity("c", "n1")


def test_a_failed_append_has_written_half_of_its_bytes() -> None:
    disk = FaultDisk(MemoryDisk(), Failing("append", "ENOSPC", once=True))
    with pytest.raises(OSError, match="a") as raised:
        disk.append("a", b"12345678")
    assert raised.value.errno == errno.ENOSPC
    disk.append("a", b"!")
    assert (disk.read("a"), disk.failed) == (b"1234!", 1)


def test_after_a_failed_sync_the_next_one_succeeds_without_the_lost_bytes() -> None:
    base = MemoryDisk()
    disk = FaultDisk(base, Failing("sync", "EIO", once=True))
    disk.append("a", b"lost")
    disk.overwrite("b", b"lost too")
    with pytest.raises(OSError, match="a"):
        disk.sync("a")
    disk.append("a", b"kept")
    disk.sync("a")
    disk.sync("b")
    assert base.files == {"a": b"kept", "b": b"lost too"}


def test_a_disk_fails_until_it_works_again() -> None:
    disk = FaultDisk(MemoryDisk())
    disk.append("a", b"1")
    disk.failing = Failing("read", "EIO")
    for _ in range(2):
        with pytest.raises(OSError, match="a"):
            disk.read("a")
    disk.failing = None
    assert (disk.read("a"), disk.failed) == (b"1", 2)


def test_any_subset_of_the_blocks_of_a_write_may_be_lost() -> None:
    data = bytes(range(1, 251)) * 6
    for holes in (0, 0b1, 0b1010, (1 << HOLES) - 1):
        left = with_holes(data, holes)
        assert len(left) == len(data)
        for place in range(0, len(data), BLOCK):
            block = data[place : place + BLOCK]
            lost = holes >> place // BLOCK % HOLES & 1
            assert left[place : place + BLOCK] == (bytes(len(block)) if lost else block)


# ---- what the log makes of it ----


@pytest.mark.parametrize(
    ("failing", "file"),
    [
        (Failing("append", "EIO"), "raft.wal"),
        (Failing("sync", "ENOSPC"), "raft.wal"),
        (Failing("rename", "EIO"), "identity.json.new"),
    ],
)
def test_a_first_start_on_a_failing_disk_fails_and_the_next_one_succeeds(failing: Failing, file: str) -> None:
    base = MemoryDisk()
    with pytest.raises(DiskFailedError, match=rf"^{re.escape(file)}: cannot .*Repair or free the disk"):
        WriteAheadLog(FaultDisk(base, failing)).recover(OWNER)
    recovered = WriteAheadLog(FaultDisk(base)).recover(OWNER)
    assert (recovered.entries, recovered.hard_state.term) == ([], 0)


def test_a_log_that_cannot_be_read_is_not_taken_for_an_empty_one() -> None:
    base = MemoryDisk()
    WriteAheadLog(base).recover(OWNER)
    before = dict(base.files)
    with pytest.raises(DiskFailedError, match=r"cannot recover the log: Input/output error"):
        WriteAheadLog(FaultDisk(base, Failing("read", "EIO"))).recover(OWNER)
    assert base.files == before


def test_a_wrong_folder_is_no_failing_disk() -> None:
    class Forbidden(MemoryDisk):
        def read(self, name: str) -> bytes:
            raise PermissionError(errno.EACCES, "Permission denied", name)

    disk = Forbidden()
    WriteAheadLog(disk)._create(OWNER, [])
    with pytest.raises(PermissionError) as raised:
        WriteAheadLog(disk).recover(OWNER)
    assert not isinstance(raised.value, DiskFailedError)


def test_a_torn_write_with_holes_is_there_whole_or_not_at_all() -> None:
    """Whatever subset of an unsynced record reaches the disk, recovery sees no damage, and what was synced is there."""
    synced = [Entry(1, b"synced")]
    unsynced = [Entry(1, bytes([number]) * 90) for number in range(1, 5)]
    written = len(encode_record([Append(index, entry) for index, entry in enumerate(unsynced, 2)]))
    whole = 0
    for size in range(0, written + 1, 13):
        for holes in (0, 0b1, 0b10, 0b101, 0b1000000):
            base = MemoryDisk()
            disk = FaultDisk(base)
            wal = WriteAheadLog(disk)
            wal.recover(OWNER)
            wal.append([Append(1, synced[0])])
            wal.sync()
            wal.append([Append(index, entry) for index, entry in enumerate(unsynced, 2)])
            disk.let_through(FILE, written if size + 13 > written else size, holes)
            disk.forget()
            recovered = WriteAheadLog(base).recover(OWNER).entries
            assert recovered in (synced, synced + unsynced), f"{size} bytes, holes {holes:b}"
            whole += recovered != synced
    assert whole == 1, "only all bytes without a hole in them are a record"
