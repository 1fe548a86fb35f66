"""Damage to data hits only what recovery finds, whatever the log and wherever the damage lies."""

from __future__ import annotations

from typing import get_args

import pytest

from raft_chaos.chaos.faults.damage import Damage, How
from raft_chaos.chaos.run.nodes.damage import damage
from raft_chaos.raft.state.log import Log
from raft_chaos.raft.state.messages import Append, Entry, HardState, SaveSnapshot, Snapshot
from raft_chaos.raft.storage.disk import MemoryDisk
from raft_chaos.raft.storage.fault_disk import FaultDisk
from raft_chaos.raft.storage.identity import Identity
from raft_chaos.raft.storage.log_file import CorruptLogError
from raft_chaos.raft.storage.snapshot_file import SNAPSHOT
from raft_chaos.raft.storage.sync_mark import SYNCED
from raft_chaos.raft.storage.wal import WriteAheadLog

OWNER = Identity("c", "n1")
LEAST: dict[How, tuple[int, int | None]] = {
    "bit_flip": (0, 0),
    "truncation": (0, 0),
    "lost_write": (1, 2),
    "misdirected_write": (2, 3),
    "lost_file": (1, 1),
}
"""How many records a log must have to be damaged like this: with a mark of all of them, and without."""


def used(records: int, *, marked: bool) -> MemoryDisk:
    """The disk of a node that wrote so many records; with a mark of all of them, or only of the empty log."""
    disk = MemoryDisk()
    fault_disk = FaultDisk(disk)
    wal = WriteAheadLog(fault_disk)
    wal.recover(OWNER)
    for number in range(1, records + 1):
        wal.append([HardState(number, None), Append(number, Entry(number, b"x" * (number * 7 % 50)))])
        wal.sync()
    if marked:
        fault_disk.let_all_through()
    fault_disk.forget()
    return disk


@pytest.mark.parametrize("how", get_args(How))
@pytest.mark.parametrize("records", [0, 1, 2, 9])
@pytest.mark.parametrize("marked", [True, False])
def test_a_damaged_node_refuses_to_start_and_an_undamaged_one_starts(how: How, records: int, marked: bool) -> None:
    did = []
    for at_permille in range(0, 1001, 25):
        disk = used(records, marked=marked)
        before = {name: bytes(content) for name, content in disk.files.items()}
        did.append(damage(disk, Damage(how, at_permille)))
        if did[-1]:
            assert disk.files != before
            with pytest.raises(CorruptLogError):
                WriteAheadLog(disk).recover(OWNER)
        else:
            assert disk.files == before
            assert len(WriteAheadLog(disk).recover(OWNER).entries) == records
    least = LEAST[how][0 if marked else 1]
    assert any(did) is (least is not None and records >= least)


@pytest.mark.parametrize("how", get_args(How))
def test_a_snapshot_and_the_mark_are_damaged_as_well_and_a_node_finds_it(how: How) -> None:
    """But for a snapshot whose log still has all entries, and a mark that is gone: nothing is missing then."""
    did = set()
    for compacted in (False, True):
        for at_permille in range(0, 1001, 7):
            disk = used(9, marked=True)
            if compacted:
                wal = WriteAheadLog(disk)
                entries = wal.recover(OWNER).entries
                log = Log()
                for entry in entries[:6]:
                    log.append(entry, 0)
                snapshot = Snapshot(6, 6, log.digest(6), b"state" * 9)
                wal.append([SaveSnapshot(snapshot, HardState(9, None), list(entries[6:]))])
                wal.sync()
            said = damage(disk, Damage(how, at_permille))
            did.update((name, compacted) for name in (SNAPSHOT, SYNCED) if name in said)
            if said:
                with pytest.raises(CorruptLogError):
                    WriteAheadLog(disk).recover(OWNER)
    marks = {(SYNCED, False), (SYNCED, True)}
    found: dict[How, set[tuple[str, bool]]] = {
        "bit_flip": {(SNAPSHOT, True), *marks},
        "truncation": {(SNAPSHOT, True), *marks},
        "lost_file": {(SNAPSHOT, True)},
    }
    assert did == found.get(how, set())


def test_a_node_without_data_has_nothing_to_damage() -> None:
    assert [damage(MemoryDisk(), Damage(how, 500)) for how in get_args(How)] == [""] * 5
