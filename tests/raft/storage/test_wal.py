"""The write-ahead log: synced records are recovered, a torn tail is cut off, and damage never counts as a torn tail."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raft_chaos.raft.state.messages import Append, Entry, HardState, Record, Recovered, Truncate
from raft_chaos.raft.storage.disk import FolderInUseError, MemoryDisk, OsDisk
from raft_chaos.raft.storage.fault_disk import FaultDisk
from raft_chaos.raft.storage.identity import IDENTITY, Identity
from raft_chaos.raft.storage.log_file import FILE, MAGIC, CorruptLogError, decode_records, encode_record
from raft_chaos.raft.storage.recovery import fold
from raft_chaos.raft.storage.sync_mark import MARK_SYNCED_EVERY, SYNCED
from raft_chaos.raft.storage.wal import WriteAheadLog
from records import RECORDS, written_batches

US = Identity("c", "n1")
BATCHES: list[list[Record]] = [
    [HardState(1, "n1")],
    [Append(1, Entry(1, b"")), Append(2, Entry(1, b"command"))],
    [HardState(2, None), Truncate(2), Append(2, Entry(2, b"other"))],
    [Append(3, Entry(2, b"last"))],
]


def log_file(batches: list[list[Record]]) -> bytes:
    return MAGIC + b"".join(encode_record(batch) for batch in batches)


def used_disk(batches: list[list[Record]]) -> MemoryDisk:
    """A data folder that a node has worked in."""
    disk = MemoryDisk()
    wal = WriteAheadLog(disk)
    wal.recover(US)
    for batch in batches:
        wal.append(batch)
        wal.sync()
    return disk


# ---- round trip and torn tails ---------------------------------------------------------------------------------------


@given(st.lists(st.lists(RECORDS, min_size=1, max_size=4), max_size=6))
def test_all_batches_are_recovered(batches: list[list[Record]]) -> None:
    data = log_file(batches)
    assert decode_records(data) == (batches, len(data))


@given(written_batches())
def test_recovery_gives_the_state_after_all_records(batches: list[list[Record]]) -> None:
    hard_state, entries = HardState(0, None), []
    for record in (record for batch in batches for record in batch):
        match record:
            case HardState():
                hard_state = record
            case Append():
                entries.append(record.entry)
            case Truncate():
                entries = entries[: record.from_index - 1]
    assert WriteAheadLog(used_disk(batches)).recover(US) == Recovered(hard_state, entries)


def test_an_unused_folder_gives_an_empty_log() -> None:
    disk = MemoryDisk()
    assert WriteAheadLog(disk).recover(US) == Recovered(HardState(0, None), [])
    assert disk.list() == [IDENTITY, FILE, SYNCED]
    assert WriteAheadLog(disk).recover(US) == Recovered(HardState(0, None), [])


def test_a_write_torn_at_any_byte_is_cut_off_and_the_log_continues() -> None:
    synced, whole = log_file(BATCHES[:-1]), log_file(BATCHES)
    for size in range(len(synced), len(whole) + 1):
        disk = used_disk(BATCHES[:-1])
        disk.append(FILE, whole[len(synced) : size])
        intact = len(BATCHES) - (size < len(whole))
        wal = WriteAheadLog(disk)
        assert wal.recover(US) == fold(BATCHES[:intact])
        assert disk.read(FILE) == log_file(BATCHES[:intact])
        wal.append([HardState(9, None)])
        assert WriteAheadLog(disk).recover(US) == fold([*BATCHES[:intact], [HardState(9, None)]])


@pytest.mark.parametrize("tail", [b"\0" * 4096, b"\0" * 7, b"\xff" * 100, b"garbage that a file system left there"])
def test_a_tail_that_is_not_a_record_is_cut_off(tail: bytes) -> None:
    disk = used_disk(BATCHES)
    disk.append(FILE, tail)
    assert WriteAheadLog(disk).recover(US) == fold(BATCHES)
    assert disk.read(FILE) == log_file(BATCHES)


@given(st.binary(max_size=60), st.integers(0, 4))
def test_an_arbitrary_tail_after_whole_records_is_cut_off_or_refused(tail: bytes, count: int) -> None:
    disk = used_disk(BATCHES[:count])
    disk.append(FILE, tail)
    wal = WriteAheadLog(disk)
    try:
        assert wal.recover(US) == fold(BATCHES[:count])
    except CorruptLogError:
        return
    wal.append([HardState(9, None)])
    assert WriteAheadLog(disk).recover(US) == fold([*BATCHES[:count], [HardState(9, None)]])


# ---- damage ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("flip", [0x01, 0x80, 0xFF])
def test_a_flipped_byte_in_any_record_but_the_last_is_refused_with_file_and_offset(flip: int) -> None:
    data = bytearray(log_file(BATCHES))
    starts = [len(log_file(BATCHES[:count])) for count in range(len(BATCHES))]
    for position in range(starts[-1]):
        data[position] ^= flip
        damaged = max((start for start in starts if start <= position), default=0)
        with pytest.raises(CorruptLogError, match=rf"^/data/raft\.wal, offset {damaged}: .*Restore the data folder"):
            decode_records(bytes(data), "/data/raft.wal")
        data[position] ^= flip


def test_a_flipped_byte_in_the_last_record_counts_as_a_torn_write() -> None:
    data = bytearray(log_file(BATCHES))
    last = len(log_file(BATCHES[:-1]))
    for position in range(last, len(data)):
        data[position] ^= 0x01
        assert decode_records(bytes(data)) == (BATCHES[:-1], last)
        data[position] ^= 0x01


@given(st.binary(max_size=120), st.booleans())
def test_arbitrary_bytes_raise_nothing_but_corrupt_log_error(data: bytes, magic: bool) -> None:
    data = MAGIC + data if magic else data
    try:
        batches, good = decode_records(data)
        fold(batches)
    except CorruptLogError:
        return
    assert len(MAGIC) <= good <= len(data)


@given(st.lists(st.lists(RECORDS, min_size=1, max_size=3), max_size=5), st.data())
def test_any_damage_gives_a_prefix_or_corrupt_log_error(batches: list[list[Record]], data: st.DataObject) -> None:
    raw = bytearray(log_file(batches))
    for position in data.draw(st.lists(st.integers(0, len(raw) - 1), max_size=3)):
        raw[position] = data.draw(st.integers(0, 255))
    try:
        found, _ = decode_records(bytes(raw))
    except CorruptLogError:
        return
    assert found == batches[: len(found)]


def test_entries_that_do_not_follow_each_other_are_refused() -> None:
    with pytest.raises(CorruptLogError, match="entry 3 follows entry 1"):
        fold([[Append(1, Entry(1, b""))], [Append(3, Entry(1, b""))]], "x")


# ---- the mark: how much was synced -----------------------------------------------------------------------------------


@pytest.mark.parametrize("lost", [1, 2, len(BATCHES)])
@pytest.mark.parametrize("damage", ["zeros", "cut"])
def test_synced_records_that_are_zeroed_or_cut_off_at_the_end_are_refused(lost: int, damage: str) -> None:
    kept, whole = log_file(BATCHES[:-lost]), log_file(BATCHES)
    disk = used_disk(BATCHES)
    disk.truncate(FILE, len(kept))
    if damage == "zeros":
        disk.append(FILE, bytes(len(whole) - len(kept)))
    before = disk.read(FILE)
    found = "here is no intact record" if damage == "zeros" else "the file ends here"
    said = rf"^raft\.wal, offset {len(kept)}: {found}, but the log was synced up to offset {len(whole)}\. "
    with pytest.raises(CorruptLogError, match=said + ".*Restore the data folder"):
        WriteAheadLog(disk).recover(US)
    assert disk.read(FILE) == before, "nothing is repaired"


def test_many_synced_records_on_a_real_disk_that_are_zeroed_are_refused(tmp_path: Path) -> None:
    disk = OsDisk(tmp_path)
    wal = WriteAheadLog(disk)
    wal.recover(US)
    for index in range(1, 101):
        wal.append([Append(index, Entry(1, b"acknowledged"))])
        wal.sync()
    disk.close()
    whole = (tmp_path / FILE).read_bytes()
    kept = len(log_file([[Append(index, Entry(1, b"acknowledged"))] for index in range(1, 70)]))
    (tmp_path / FILE).write_bytes(whole[:kept] + bytes(len(whole) - kept))
    again = OsDisk(tmp_path)
    with pytest.raises(CorruptLogError, match=f"offset {kept}: here is no intact record, but the log was synced up to"):
        WriteAheadLog(again).recover(US)
    again.close()


@given(st.lists(st.sampled_from(["append", "sync"]), max_size=12), st.integers(0, 1000))
def test_a_power_cut_at_any_moment_is_no_damage(acts: list[str], keep_permille: int) -> None:
    """Whatever reached the disk, the log recovers at least what was synced."""
    memory = MemoryDisk()
    disk = FaultDisk(memory)
    wal = WriteAheadLog(disk)
    wal.recover(US)
    appended = synced = 0
    for act in acts:
        if act == "append":
            appended += 1
            wal.append([Append(appended, Entry(1, b"x"))])
        else:
            wal.sync()
            synced = appended
    disk.let_through(FILE, disk.unsynced_bytes(FILE) * keep_permille // 1000)
    disk.forget()
    assert len(WriteAheadLog(memory).recover(US).entries) >= synced


def test_a_power_cut_sets_the_mark_back_by_few_records_at_most() -> None:
    memory = MemoryDisk()
    wal = WriteAheadLog(FaultDisk(memory))
    wal.recover(US)
    record = encode_record([HardState(1, "n1")])
    for written in range(3 * MARK_SYNCED_EVERY):
        wal.append([HardState(1, "n1")])
        wal.sync()
        marked = int.from_bytes(memory.read(SYNCED)[:8], "big")
        assert 0 <= len(MAGIC) + (written + 1) * len(record) - marked < MARK_SYNCED_EVERY * len(record)


def test_the_log_line_about_a_cut_says_what_cannot_be_told(caplog: pytest.LogCaptureFixture) -> None:
    disk = used_disk(BATCHES)
    disk.append(FILE, b"torn")
    with caplog.at_level(logging.WARNING):
        WriteAheadLog(disk).recover(US)
    offset = len(log_file(BATCHES))
    cut = f"raft.wal: cut 4 bytes at offset {offset}, a write that was never completed"
    assert caplog.messages == [
        f"{cut}; if the power failed, it can also be damage to the last records, which cannot be told apart"
    ]


def test_a_log_of_an_earlier_version_gets_a_mark(caplog: pytest.LogCaptureFixture) -> None:
    disk = used_disk(BATCHES)
    disk.remove(SYNCED)
    disk.append(FILE, b"torn")
    with caplog.at_level(logging.WARNING):
        assert WriteAheadLog(disk).recover(US) == fold(BATCHES)
    assert "without a mark of what was synced, so it can also be damage" in caplog.text
    disk.truncate(FILE, len(log_file(BATCHES)) - 1)
    with pytest.raises(CorruptLogError, match="here is no intact record, but the log was synced"):
        WriteAheadLog(disk).recover(US)


@pytest.mark.parametrize("content", [b"", b"\0" * 12, b"\0" * 11, b"\xff" * 13])
def test_a_damaged_mark_is_refused(content: bytes) -> None:
    disk = used_disk(BATCHES)
    disk.remove(SYNCED)
    disk.overwrite(SYNCED, content)
    with pytest.raises(CorruptLogError, match=r"^raft\.wal\.synced: damaged; it says how much of the log was synced"):
        WriteAheadLog(disk).recover(US)


# ---- the folder ------------------------------------------------------------------------------------------------------


def test_a_log_that_is_missing_from_a_used_folder_is_refused() -> None:
    disk = used_disk(BATCHES)
    disk.remove(FILE)
    with pytest.raises(CorruptLogError, match="the log is missing"):
        WriteAheadLog(disk).recover(US)


def test_an_identity_that_is_missing_beside_a_used_log_is_refused() -> None:
    disk = used_disk(BATCHES)
    disk.remove(IDENTITY)
    before = disk.read(FILE)
    with pytest.raises(CorruptLogError, match=r"identity\.json: missing"):
        WriteAheadLog(disk).recover(US)
    assert disk.read(FILE) == before


def test_a_damaged_log_without_identity_is_refused_and_not_wiped() -> None:
    disk = used_disk(BATCHES)
    disk.remove(IDENTITY)
    disk.files[FILE][0] ^= 0xFF
    before = disk.read(FILE)
    with pytest.raises(CorruptLogError):
        WriteAheadLog(disk).recover(US)
    assert disk.read(FILE) == before


@pytest.mark.parametrize("other", [Identity("c", "n2"), Identity("d", "n1")])
def test_another_nodes_folder_is_refused(other: Identity) -> None:
    disk = used_disk(BATCHES)
    with pytest.raises(CorruptLogError, match="belongs to node 'n1' of cluster 'c'"):
        WriteAheadLog(disk).recover(other)


@pytest.mark.parametrize("content", [b"", b"{", b'{"cluster": 1, "node": "n1"}', b"\xff\xff"])
def test_a_damaged_identity_is_refused(content: bytes) -> None:
    disk = used_disk(BATCHES)
    disk.remove(IDENTITY)
    disk.append(IDENTITY, content)
    with pytest.raises(CorruptLogError, match=r"identity\.json, offset 0: "):
        WriteAheadLog(disk).recover(US)


def test_a_first_start_that_crashed_at_any_point_starts_again() -> None:
    halfway: list[dict[str, bytes]] = [
        {FILE: b""},
        {FILE: MAGIC[:3]},
        {FILE: MAGIC},
        {FILE: MAGIC, IDENTITY + ".new": b'{"clus'},
    ]
    for files in halfway:
        disk = MemoryDisk()
        for name, content in files.items():
            disk.append(name, content)
        assert WriteAheadLog(disk).recover(US) == Recovered()
        assert disk.list() == [IDENTITY, FILE, SYNCED]
        assert disk.read(FILE) == MAGIC
        assert WriteAheadLog(disk).recover(US) == Recovered()


def test_a_folder_has_one_node_at_a_time(tmp_path: Path) -> None:
    disk = OsDisk(tmp_path / "data")
    with pytest.raises(FolderInUseError, match="data: another process uses this data folder"):
        OsDisk(tmp_path / "data")
    disk.close()
    OsDisk(tmp_path / "data").close()


def test_records_that_were_appended_but_not_synced_are_gone_after_a_power_cut(tmp_path: Path) -> None:
    disk = FaultDisk(OsDisk(tmp_path))
    wal = WriteAheadLog(disk)
    wal.recover(US)
    wal.append(BATCHES[0])
    wal.sync()
    wal.append(BATCHES[1])
    disk.close()
    again = FaultDisk(OsDisk(tmp_path))
    assert WriteAheadLog(again).recover(US) == fold(BATCHES[:1])
    again.close()


def test_recovered_records_are_synced_before_the_node_uses_them() -> None:
    """A kill between append and sync leaves intact records in the page cache alone."""
    disk = MemoryDisk()
    before = WriteAheadLog(disk)
    before.recover(US)
    layer = FaultDisk(disk)
    layer.append(FILE, encode_record(BATCHES[0]))
    assert WriteAheadLog(layer).recover(US) == fold(BATCHES[:1])
    layer.close()
    assert WriteAheadLog(disk).recover(US) == fold(BATCHES[:1])
