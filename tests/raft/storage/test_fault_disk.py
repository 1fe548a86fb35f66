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
    disk.sync_folder()
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


# ---- names -----------------------------------------------------------------------------------------------------------


def files_of(disk: MemoryDisk) -> dict[str, bytes]:
    return {name: bytes(content) for name, content in disk.files.items()}


def renamed(base: MemoryDisk) -> FaultDisk:
    """A new file takes the place of "log", and another one that of "state"; nothing of the folder is synced."""
    disk = FaultDisk(base)
    for name in ("log", "state"):
        disk.append(name, b"old")
        disk.sync(name)
    disk.sync_folder()
    for name in ("state", "log"):
        disk.append(f"{name}.new", b"new")
        disk.sync(f"{name}.new")
        disk.rename(f"{name}.new", name)
    return disk


def test_names_are_durable_once_the_folder_is_synced() -> None:
    base = MemoryDisk()
    disk = renamed(base)
    disk.remove("log")
    assert (disk.list(), disk.read("state")) == (["state"], b"new")
    assert files_of(base) == {"log": b"old", "state": b"old"}
    disk.sync_folder()
    assert files_of(base) == {"state": b"new"}
    disk.forget()
    assert files_of(base) == {"state": b"new"}


def test_any_of_the_names_may_be_lost_but_not_one_before_another_of_the_same_file() -> None:
    """The first rename can be lost and the second one stay: so do ext2 and btrfs."""
    seen = set()
    for holes in range(16):
        base = MemoryDisk()
        disk = renamed(base)
        disk.lose(disk.unsynced(), holes)
        seen.add(tuple(sorted(files_of(base).items())))
        assert disk.list() == base.list()
    assert {(("log", log), ("state", state)) for log in (b"old", b"new") for state in (b"old", b"new")} <= seen
    for files in map(dict, seen):
        assert files["log"] in (b"old", b"new") and files["state"] in (b"old", b"new"), "a rename is never half done"
        assert {*files} <= {"log", "state", "log.new", "state.new"}


@pytest.mark.parametrize("keep", range(5))
def test_the_first_names_can_stay(keep: int) -> None:
    base = MemoryDisk()
    renamed(base).lose(keep)
    left = [
        {"log": b"old", "state": b"old"},
        {"log": b"old", "state": b"old", "state.new": b"new"},
        {"log": b"old", "state": b"new"},
        {"log": b"old", "state": b"new", "log.new": b"new"},
        {"log": b"new", "state": b"new"},
    ]
    assert files_of(base) == left[keep]


def test_a_file_without_a_durable_name_is_read_and_written_like_any_other() -> None:
    base = MemoryDisk()
    disk = renamed(base)
    disk.append("log", b" and newer")
    assert (disk.read("log"), disk.read_at("log", 1, 4)) == (b"new and newer", b"ew a")
    disk.sync("log")
    disk.append("log", b"!")
    disk.truncate("log", 8)
    disk.sync("log")
    disk.append("log.new", b"another")
    assert files_of(base) == {"log": b"old", "state": b"old"}
    disk.sync_folder()
    assert files_of(base) == {"log": b"new and ", "state": b"new", "log.new": b""}


# ---- the cache of the operating system -------------------------------------------------------------------------------


def test_what_the_cache_kept_is_read_by_the_next_process_and_lost_with_the_power() -> None:
    base = MemoryDisk()
    disk = renamed(base)
    disk.append("log", b"!")
    disk.overwrite("mark", b"7")
    disk.leave_cache()
    again = FaultDisk(base)
    assert (again.list(), again.read("log"), again.read("mark")) == (["log", "mark", "state"], b"new!", b"7")
    again.forget()
    assert FaultDisk(base).list() == ["log", "state"]
    assert files_of(base) == {"log": b"old", "state": b"old"}


def test_what_the_cache_kept_is_durable_once_it_is_synced() -> None:
    base = MemoryDisk()
    renamed(base).leave_cache()
    disk = FaultDisk(base)
    disk.append("log", b"!")
    disk.sync("log")
    disk.sync_folder()
    disk.forget()
    assert files_of(base) == {"log": b"new!", "state": b"new"}


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


@pytest.mark.parametrize("once", [True, False])
def test_a_disk_may_fail_at_a_later_operation(once: bool) -> None:
    disk = FaultDisk(MemoryDisk(), Failing("rename", "EIO", once=once, after=2))
    disk.append("a", b"1")
    for name, new_name in ("ab", "bc"):
        disk.rename(name, new_name)
    with pytest.raises(OSError, match="c"):
        disk.rename("c", "d")
    assert (disk.list(), disk.failing is None) == (["c"], once)
