"""Disks: memory and the operating system's behave alike, and the fault layer loses unsynced bytes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from raft_chaos.raft.storage.disk import Disk, MemoryDisk, OsDisk
from raft_chaos.raft.storage.fault_disk import FaultDisk


@pytest.fixture(params=["memory", "os", "fault over memory", "fault over os"])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Disk]:
    base: Disk = OsDisk(tmp_path) if "os" in request.param else MemoryDisk()
    disk = FaultDisk(base) if "fault" in request.param else base
    yield disk
    disk.close()


def test_all_disks_behave_alike(disk: Disk) -> None:
    assert disk.list() == []
    disk.append("b", b"one")
    disk.append("b", b"two")
    disk.append("a", b"")
    assert disk.list() == ["a", "b"]
    assert (disk.read("a"), disk.read("b")) == (b"", b"onetwo")
    disk.truncate("b", 4)
    assert disk.read("b") == b"onet"
    disk.append("b", b"!")
    disk.sync("b")
    assert disk.read("b") == b"onet!"
    disk.rename("b", "a")
    disk.sync_folder()
    assert disk.list() == ["a"]
    assert disk.read("a") == b"onet!"
    disk.append("a", b"?")
    disk.append("b", b"a new b")
    assert (disk.read("a"), disk.read("b")) == (b"onet!?", b"a new b")
    disk.remove("a")
    assert disk.list() == ["b"]
    assert disk.describe("b").endswith("b")


def test_data_goes_over_the_beginning_of_a_file_on_all_disks(disk: Disk) -> None:
    disk.overwrite("mark", b"first")
    assert (disk.read("mark"), disk.list()) == (b"first", ["mark"])
    disk.overwrite("mark", b"2nd")
    assert disk.read("mark") == b"2ndst"
    disk.sync("mark")
    disk.overwrite("mark", b"third!")
    assert disk.read("mark") == b"third!"
    disk.rename("mark", "moved")
    assert (disk.read("moved"), disk.list()) == (b"third!", ["moved"])


def test_an_overwrite_is_lost_until_it_is_synced(base: Disk) -> None:
    disk = FaultDisk(base)
    disk.overwrite("mark", b"old")
    disk.sync("mark")
    disk.sync_folder()
    disk.overwrite("mark", b"new")
    assert (disk.read("mark"), base.read("mark")) == (b"new", b"old")
    disk.forget()
    assert disk.read("mark") == b"old"


def test_missing_files_are_not_found(disk: Disk) -> None:
    disk.append("other", b"x")
    for act in (
        disk.read,
        disk.sync,
        disk.remove,
        lambda name: disk.truncate(name, 0),
        lambda name: disk.rename(name, "x"),
    ):
        with pytest.raises(FileNotFoundError):
            act("missing")
    assert disk.list() == ["other"]


@pytest.fixture(params=["memory", "os"])
def base(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Disk]:
    disk: Disk = OsDisk(tmp_path) if request.param == "os" else MemoryDisk()
    yield disk
    disk.close()


def test_unsynced_bytes_are_seen_by_the_process_and_not_by_the_disk(base: Disk) -> None:
    disk = FaultDisk(base)
    disk.append("a", b"synced ")
    disk.sync("a")
    disk.sync_folder()
    disk.append("a", b"not synced")
    disk.append("b", b"new")
    assert (disk.read("a"), disk.read("b"), disk.list()) == (b"synced not synced", b"new", ["a", "b"])
    # What a kill of the process would leave.
    assert (base.read("a"), base.list()) == (b"synced ", ["a"])


def test_closing_loses_unsynced_bytes(tmp_path: Path) -> None:
    disk = FaultDisk(OsDisk(tmp_path))
    disk.append("a", b"synced ")
    disk.sync("a")
    disk.sync_folder()
    disk.append("a", b"not synced")
    disk.close()
    again = OsDisk(tmp_path)
    assert again.read("a") == b"synced "
    again.close()


def test_syncing_one_file_leaves_the_other_unsynced(base: Disk) -> None:
    disk = FaultDisk(base)
    disk.append("a", b"1")
    disk.append("b", b"2")
    disk.sync("a")
    disk.sync_folder()
    assert (base.read("a"), base.read("b")) == (b"1", b"")


def test_a_rename_makes_nothing_durable() -> None:
    memory = MemoryDisk()
    disk = FaultDisk(memory)
    disk.append("staged", b"not synced")
    disk.rename("staged", "final")
    assert disk.read("final") == b"not synced"
    assert not memory.list()
    disk.sync_folder()
    assert memory.read("final") == b""
    disk.sync("final")
    assert memory.read("final") == b"not synced"
