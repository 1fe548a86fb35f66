"""Snapshots in the write-ahead log (§7): whatever a crash interrupts, recovery reads one consistent state."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from itertools import count

import msgspec
import pytest
from msgspec.structs import replace

from raft_chaos.chaos.run.nodes.interrupted_disk import InterruptedDisk, InterruptedNodeError
from raft_chaos.raft.state.configuration import Configuration
from raft_chaos.raft.state.log import Log
from raft_chaos.raft.state.messages import Append, Entry, HardState, Record, Recovered, SaveSnapshot, Snapshot, Truncate
from raft_chaos.raft.storage.disk import MemoryDisk
from raft_chaos.raft.storage.failing import DiskFailedError, DiskOperation, Failing
from raft_chaos.raft.storage.fault_disk import FaultDisk
from raft_chaos.raft.storage.framing import frame
from raft_chaos.raft.storage.identity import Identity
from raft_chaos.raft.storage.log_file import (
    FILE,
    MAGIC,
    MAGIC_WITH_BASE,
    CorruptLogError,
    base_of,
    decode_records,
    encode_record,
)
from raft_chaos.raft.storage.snapshot_file import (
    SNAPSHOT,
    SNAPSHOT_MAGIC,
    STAGED,
    read_snapshot,
    write_staged,
)
from raft_chaos.raft.storage.sync_mark import SYNCED
from raft_chaos.raft.storage.wal import NEW_FILE, WriteAheadLog

US = Identity("c", "n1")
ENTRIES = [Entry(1, b"%d" % index) for index in range(1, 7)]
BEFORE: list[list[Record]] = [
    [HardState(2, "n1")],
    [Append(index, entry) for index, entry in enumerate(ENTRIES, 1)],
]
LOG_BEFORE = Recovered(HardState(2, "n1"), ENTRIES)


def snapshot_at(index: int, term: int = 1) -> Snapshot:
    log = Log()
    for entry in ENTRIES[:index]:
        log.append(entry, 0)
    return Snapshot(index, term, log.digest(log.last_index), b"state %d" % index * 20)


OWN = SaveSnapshot(snapshot_at(4), HardState(2, "n1"), ENTRIES[4:])
"""One that the node took itself: the log goes on behind it."""
FROM_LEADER = SaveSnapshot(snapshot_at(9, 2), HardState(2, "n1"), [])
"""One of a leader: the log ends before it."""


def state_of(record: SaveSnapshot) -> Recovered:
    return Recovered(record.hard_state, record.entries, record.snapshot)


def used() -> MemoryDisk:
    disk = MemoryDisk()
    wal = WriteAheadLog(disk)
    wal.recover(US)
    for batch in BEFORE:
        wal.append(batch)
        wal.sync()
    return disk


def copy_of(disk: MemoryDisk) -> MemoryDisk:
    copy = MemoryDisk()
    copy.files = {name: bytearray(data) for name, data in disk.files.items()}
    return copy


def saved(record: SaveSnapshot, disk: MemoryDisk | None = None) -> MemoryDisk:
    disk = disk or used()
    wal = WriteAheadLog(disk)
    wal.recover(US)
    wal.append([record])
    wal.sync()
    return disk


@pytest.mark.parametrize("record", [OWN, FROM_LEADER])
def test_a_snapshot_takes_the_place_of_the_log_and_the_log_goes_on_behind_it(record: SaveSnapshot) -> None:
    disk = used()
    size = len(disk.read(FILE))
    saved(record, disk)
    assert sorted(disk.list()) == sorted(["identity.json", SNAPSHOT, FILE, SYNCED]), "nothing staged is left"
    assert disk.read(FILE).startswith(MAGIC_WITH_BASE)
    if record is FROM_LEADER:
        assert len(disk.read(FILE)) < size, "the log gives its space back"
    wal = WriteAheadLog(disk)
    assert wal.recover(US) == state_of(record)
    last = record.snapshot.index + len(record.entries)
    wal.append([HardState(3, None), Append(last + 1, Entry(3, b"a")), Append(last + 2, Entry(3, b"b"))])
    wal.append([Truncate(last + 2)])
    wal.sync()
    assert WriteAheadLog(disk).recover(US) == Recovered(
        HardState(3, None), [*record.entries, Entry(3, b"a")], record.snapshot
    )


@pytest.mark.parametrize("record", [OWN, FROM_LEADER])
@pytest.mark.parametrize("keep", ["all", "none", "half"])
def test_a_crash_at_every_step_leaves_the_state_before_or_the_state_after(record: SaveSnapshot, keep: str) -> None:
    """After a crash in recovery, too, at every step of it."""
    seen = []
    for operations in count():
        disk = used()
        faulty = FaultDisk(disk)
        wal = WriteAheadLog(faulty)
        wal.recover(US)
        wal.disk = InterruptedDisk(faulty, operations)
        try:
            wal.append([record])
            wal.sync()
        except InterruptedNodeError:
            lose(faulty, keep)
            after = recovered_after_crashes(disk)
            seen.append(after)
            assert after in (LOG_BEFORE, state_of(record)), operations
            # A node that has begun to use the snapshot never goes back.
            assert seen == sorted(seen, key=lambda state: state.snapshot is not None)
        else:
            break
    assert seen[0] == LOG_BEFORE and seen[-1] == state_of(record)
    assert WriteAheadLog(disk).recover(US) == state_of(record)


@pytest.mark.parametrize("record", [None, OWN, FROM_LEADER])
def test_what_a_node_recovers_is_durable_though_a_kill_had_left_it_in_the_cache_alone(
    record: SaveSnapshot | None,
) -> None:
    """The process is killed at every step of its first start, or of a snapshot. The next one recovers what the cache
    has, and the power fails."""
    for operations in count():
        disk = MemoryDisk() if record is None else used()
        faulty = FaultDisk(disk)
        wal = WriteAheadLog(faulty)
        if record is not None:
            wal.recover(US)
        wal.disk = InterruptedDisk(faulty, operations)
        try:
            if record is None:
                wal.recover(US)
            else:
                wal.append([record])
                wal.sync()
        except InterruptedNodeError:
            pass
        else:
            return
        faulty.leave_cache()
        for writes in ([], [HardState(9, "n2")]):
            left = copy_of(disk)
            second = FaultDisk(left)
            wal = WriteAheadLog(second)
            expected = wal.recover(US)
            for written in writes:
                wal.append([written])
                wal.sync()
                expected = replace(expected, hard_state=written)
            second.forget()
            assert WriteAheadLog(FaultDisk(left)).recover(US) == expected, operations


@pytest.mark.parametrize("record", [OWN, FROM_LEADER])
@pytest.mark.parametrize("holes", [0b1, 0b10, 0b100, 0b1000, 0b0101, 0b1010, 0])
def test_whichever_names_a_crash_loses_the_state_is_that_before_or_after(record: SaveSnapshot, holes: int) -> None:
    for operations in count():
        disk = used()
        faulty = FaultDisk(disk)
        wal = WriteAheadLog(faulty)
        wal.recover(US)
        wal.disk = InterruptedDisk(faulty, operations)
        try:
            wal.append([record])
            wal.sync()
        except InterruptedNodeError:
            faulty.lose(faulty.unsynced(), holes)
            assert recovered_after_crashes(disk) in (LOG_BEFORE, state_of(record)), operations
        else:
            return


def lose(faulty: FaultDisk, keep: str) -> None:
    """The power fails."""
    for name in [*faulty.disk.list(), STAGED, NEW_FILE]:
        unsynced = faulty.unsynced_bytes(name)
        if unsynced and keep != "none":
            faulty.let_through(name, unsynced if keep == "all" else unsynced // 2)
    faulty.forget()


def recovered_after_crashes(disk: MemoryDisk) -> Recovered:
    """Recovery is interrupted after each number of operations, on a disk of its own, and then goes through."""
    expected = WriteAheadLog(copy_of(disk)).recover(US)
    for operations in count():
        torn = copy_of(disk)
        faulty = FaultDisk(torn)
        wal = WriteAheadLog(faulty)
        wal.disk = InterruptedDisk(faulty, operations)
        try:
            wal.recover(US)
        except InterruptedNodeError:
            faulty.forget()
            assert WriteAheadLog(torn).recover(US) == expected, operations
        else:
            return expected
    raise AssertionError


@pytest.mark.parametrize("operation", ["append", "sync", "rename"])
@pytest.mark.parametrize("after", range(4))
def test_a_disk_that_fails_on_the_way_ends_the_node_and_loses_nothing(operation: DiskOperation, after: int) -> None:
    disk = used()
    faulty = FaultDisk(disk)
    wal = WriteAheadLog(faulty)
    wal.recover(US)
    wal.disk = FailsLater(faulty, Failing(operation, "EIO"), after)
    try:
        wal.append([OWN])
        wal.sync()
    except DiskFailedError as error:
        assert "This node ends" in str(error)
    faulty.forget()
    assert WriteAheadLog(disk).recover(US) in (LOG_BEFORE, state_of(OWN))


class FailsLater(InterruptedDisk):
    """Works for some operations of any kind; then one of its kinds fails for ever."""

    def __init__(self, disk: FaultDisk, failing: Failing, after: int) -> None:
        super().__init__(disk, 1_000)
        self._faulty, self._failing, self._calls, self._after = disk, failing, 0, after
        for name in ("append", "sync", "rename", "overwrite", "sync_folder", "remove"):
            setattr(self, name, self._watched(getattr(disk, name)))

    def _watched(self, operation: Callable[..., object]) -> Callable[..., object]:
        def watched(*args: object) -> object:
            self._calls += 1
            if self._calls > self._after:
                self._faulty.failing = self._failing
            return operation(*args)

        return watched


# ---- what is no crash ------------------------------------------------------------------------------------------------


def refused(disk: MemoryDisk, says: str) -> None:
    with pytest.raises(CorruptLogError, match=says) as caught:
        WriteAheadLog(disk).recover(US)
    assert "Refusing to start" in str(caught.value)


def test_a_lost_or_damaged_snapshot_is_refused() -> None:
    disk = saved(OWN)
    for place in range(0, len(disk.read(SNAPSHOT)), 7):
        damaged = copy_of(disk)
        damaged.files[SNAPSHOT][place] ^= 4
        refused(damaged, "not a snapshot of this version|damaged")
    cut = copy_of(disk)
    cut.truncate(SNAPSHOT, 30)
    refused(cut, "the snapshot is damaged")
    lost = copy_of(disk)
    lost.remove(SNAPSHOT)
    refused(lost, "the log begins after entry 4, but there is no snapshot")


def test_an_older_snapshot_under_the_name_is_refused() -> None:
    older = saved(SaveSnapshot(snapshot_at(2), HardState(2, "n1"), ENTRIES[2:]))
    disk = saved(OWN)
    disk.files[SNAPSHOT] = older.files[SNAPSHOT]
    refused(disk, "the log begins after entry 4, but the snapshot ends at 2")


def test_a_snapshot_of_a_later_version_is_refused() -> None:
    disk = saved(OWN)
    disk.files[SNAPSHOT][7] = 3
    refused(disk, "not a snapshot of this version")


def test_the_first_record_behind_a_snapshot_is_never_a_torn_tail() -> None:
    disk = saved(OWN)
    for place in range(8, len(disk.read(FILE)), 3):
        damaged = copy_of(disk)
        damaged.files[FILE][place] ^= 1
        refused(damaged, "its first record is damaged|the first record is damaged")
        damaged.files[SYNCED] = used().files[SYNCED]  # after a power failure the mark may be that of the old log
        refused(damaged, "the first record is damaged")


def test_the_mark_of_the_log_before_means_nothing_to_the_new_one() -> None:
    disk = saved(FROM_LEADER)
    disk.files[SYNCED] = used().files[SYNCED]
    assert int.from_bytes(disk.read(SYNCED)[:8], "big") > len(disk.read(FILE))
    assert WriteAheadLog(disk).recover(US) == state_of(FROM_LEADER)


def test_an_old_log_beside_a_newer_mark_is_refused() -> None:
    disk = saved(OWN)
    disk.files[FILE] = used().files[FILE]
    refused(disk, "speaks of one that begins after entry 4")


def test_a_log_without_a_snapshot_is_written_as_by_earlier_versions() -> None:
    assert used().read(FILE).startswith(b"RCWAL\x00\x00\x01")


def test_the_mark_of_an_earlier_version_is_shorter_without_a_snapshot() -> None:
    disk = used()
    size = disk.read(SYNCED)[:8]
    disk.files[SYNCED] = bytearray(size + zlib.crc32(size).to_bytes(4, "big"))
    assert WriteAheadLog(disk).recover(US) == WriteAheadLog(used()).recover(US)


def test_a_mark_never_grows() -> None:
    """Of a file that grows, a power failure may leave the new bytes with the old length: a mark that is damaged."""
    assert len(used().read(SYNCED)) == len(saved(OWN).read(SYNCED)) == 20


@pytest.mark.parametrize("behind", [b"", encode_record([HardState(3, None)])])
@pytest.mark.parametrize("magic", [MAGIC, MAGIC_WITH_BASE])
def test_a_write_of_no_records_is_damage(magic: bytes, behind: bytes) -> None:
    """Its checksum is right, so only the decoder can tell that nobody made it."""
    data = magic + frame(b"\x90") + behind
    assert base_of(data) == 0
    if behind or magic == MAGIC_WITH_BASE:
        with pytest.raises(CorruptLogError):
            decode_records(data)
    else:
        assert decode_records(data) == ([], len(magic)), "a tail that was never completed"


# ---- versions of the snapshot's file ---------------------------------------------------------------------------------


def stored(version: int, *fields: object) -> MemoryDisk:
    disk = MemoryDisk()
    disk.append(SNAPSHOT, SNAPSHOT_MAGIC[:-1] + bytes([version]) + frame(msgspec.msgpack.encode(["s", *fields])))
    return disk


def test_a_snapshot_of_the_version_without_members_is_read() -> None:
    assert read_snapshot(stored(1, 4, 1, "00", b"state")) == Snapshot(4, 1, "00", b"state")


def test_a_snapshot_keeps_the_configuration_of_the_entries_that_it_replaces() -> None:
    snapshot = Snapshot(4, 1, "00", b"state", Configuration(("n1", "n2"), learners=("n3",)), 3)
    disk = MemoryDisk()
    write_staged(disk, snapshot)
    disk.rename(STAGED, SNAPSHOT)
    assert read_snapshot(disk) == snapshot
