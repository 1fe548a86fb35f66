"""Damages the data of one of our own nodes while it is down, as a disk that rots does.

It damages only what recovery can find. Of a log's last record nothing else may tell that it was ever there: a node that
lost it comes back as if it had never acknowledged it, which is outside of what Raft promises. So the damage lies below
the mark of what was synced, or before the last intact record, since an intact record behind a damaged one proves that
it is no torn tail (`raft.storage.wal`).

A quarter of the damage hits another file: the snapshot (§7), if the log begins behind it, or the mark. Neither is ever
torn, so all of it may be damaged. A mark that is gone is that of an earlier version, and no data is missing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from raft_chaos.chaos.faults.damage import Damage, How
from raft_chaos.invariants.rundir import RunDir
from raft_chaos.raft.storage.disk import Disk, OsDisk
from raft_chaos.raft.storage.fault_disk import FaultDisk
from raft_chaos.raft.storage.identity import IDENTITY
from raft_chaos.raft.storage.log_file import FILE, MAGIC, base_of, intact_records
from raft_chaos.raft.storage.snapshot_file import SNAPSHOT
from raft_chaos.raft.storage.sync_mark import SYNCED, mark_in

OTHER_EVERY = 4
"""Every so many places (`Damage.at_permille`) one is in another file than the log."""
Span: TypeAlias = tuple[int, int]
"""(begin, end) of some bytes of a file."""


def damage(disk: Disk, wanted: Damage) -> str:
    """Does it; returns what it did, in words, or "" if there was nothing that recovery would miss."""
    FaultDisk(disk).let_all_through()  # what the operating system still has of it is written back before it rots
    if FILE not in (files := disk.list()):
        return ""
    mark = mark_in(disk.read(SYNCED)) if SYNCED in files else None
    data = disk.read(FILE)
    # The mark of an earlier log file says nothing about this one.
    base = base_of(data)
    of_this = mark[0] if mark is not None and mark[1] == base else 0
    others = [name for name, missed in ((SNAPSHOT, base > 0), (SYNCED, wanted.how != "lost_file")) if missed]
    there = [name for name in others if name in files]
    if wanted.how in _TO_OTHERS and there and wanted.at_permille % OTHER_EVERY == OTHER_EVERY - 1:
        return _TO_OTHERS[wanted.how](disk, there[wanted.at_permille // OTHER_EVERY % len(there)], wanted.at_permille)
    return _DOING[wanted.how](_Log(disk, data, of_this), wanted.at_permille)


def damage_node(run: RunDir, node: str, wanted: Damage) -> str:
    """The same for a node of a run with real processes. Keeps its log as it was, for replays."""
    disk = OsDisk(run.node(node) / "data")
    try:
        before = disk.read(FILE) if FILE in disk.list() else b""
        did = damage(disk, wanted)
    finally:
        disk.close()
    if did and not run.node_undamaged(node).exists():
        run.node_undamaged(node).write_bytes(before)
    return did


class _Log:
    """The log of the node: its content, the mark, and what of it would be missed: the bytes below `found_below`, and
    the records in `covered`."""

    def __init__(self, disk: Disk, data: bytes, mark: int) -> None:
        self.disk = disk
        self.data = data
        self.mark = mark
        records = intact_records(data)
        self.found_below = max(mark, records[-1][0] if records else 0)
        self.covered = [record for record in records if record[1] <= self.found_below]

    def replace(self, data: bytes) -> None:
        _replace(self.disk, FILE, data)


def _replace(disk: Disk, name: str, data: bytes) -> None:
    disk.truncate(name, 0)
    disk.append(name, data)
    disk.sync(name)


def _bit_flip(log: _Log, at_permille: int) -> str:
    return _flip(log.disk, FILE, min(log.found_below, len(log.data)), at_permille)


def _flip(disk: Disk, name: str, below: int, at_permille: int) -> str:
    """One bit of the first bytes of the file flips."""
    data, place, bit = disk.read(name), (below - 1) * at_permille // 1000, at_permille % 8
    if place < 0:
        return ""
    _replace(disk, name, data[:place] + bytes([data[place] ^ 1 << bit]) + data[place + 1 :])
    return f"bit {bit} of byte {place} of {name} flipped"


def _truncate_log(log: _Log, at_permille: int) -> str:
    """Only the mark tells that something was behind the end."""
    if log.mark <= len(MAGIC):
        return ""
    size = len(MAGIC) + (log.mark - 1 - len(MAGIC)) * at_permille // 1000
    return _cut(log.disk, FILE, size)


def _lost_write(log: _Log, at_permille: int) -> str:
    if not log.covered:
        return ""
    begin, end = _nth(log.covered, at_permille)
    log.replace(log.data[:begin] + bytes(end - begin) + log.data[end:])
    return f"the record at offset {begin} of {FILE} was never written"


def _misdirected_write(log: _Log, at_permille: int) -> str:
    """A record lies where an earlier one was, and zeros where it belongs."""
    if len(log.covered) < 2:
        return ""
    begin, end = _nth(log.covered[1:], at_permille)
    over, _ = _nth([record for record in log.covered if record[0] < begin], 1000 - at_permille)
    without = log.data[:begin] + bytes(end - begin) + log.data[end:]
    log.replace(without[:over] + log.data[begin:end] + without[over + end - begin :])
    return f"the record at offset {begin} of {FILE} was written at offset {over}"


def _lose_file(log: _Log, at_permille: int) -> str:
    if len(log.data) <= len(MAGIC):  # nothing depends on an unused log
        return ""
    return _lose(log.disk, FILE if at_permille < 500 else IDENTITY, at_permille)


_DOING: dict[How, Callable[[_Log, int], str]] = {
    "bit_flip": _bit_flip,
    "truncation": _truncate_log,
    "lost_write": _lost_write,
    "misdirected_write": _misdirected_write,
    "lost_file": _lose_file,
}


def _truncate(disk: Disk, name: str, at_permille: int) -> str:
    return _cut(disk, name, (len(disk.read(name)) - 1) * at_permille // 1000)


def _cut(disk: Disk, name: str, size: int) -> str:
    before = len(disk.read(name))
    disk.truncate(name, size)
    disk.sync(name)
    return f"{name} cut from {before} to {size} bytes"


def _lose(disk: Disk, name: str, at_permille: int) -> str:
    disk.remove(name)
    disk.sync_folder()
    return f"{name} lost"


_TO_OTHERS: dict[How, Callable[[Disk, str, int], str]] = {
    "bit_flip": lambda disk, name, at_permille: _flip(disk, name, len(disk.read(name)), at_permille),
    "truncation": _truncate,
    "lost_file": _lose,
}


def _nth(spans: list[Span], permille: int) -> Span:
    return spans[min(len(spans) * permille // 1000, len(spans) - 1)]
