"""The commit index in the log (feature `persist_commit`): never before its entries, never at a cost of its own."""

from __future__ import annotations

from itertools import count

import pytest
from msgspec.structs import replace

from cluster import TIMING, Cluster, Server, command, entries
from raft_chaos.chaos.run.nodes.interrupted_disk import InterruptedDisk, InterruptedNodeError
from raft_chaos.invariants.events import CommitAdvanced, EntryApplied
from raft_chaos.raft.state.features import Features
from raft_chaos.raft.state.messages import Append, AppendEntries, Committed, Entry, HardState, Record
from raft_chaos.raft.storage.disk import MemoryDisk
from raft_chaos.raft.storage.fault_disk import FaultDisk
from raft_chaos.raft.storage.identity import Identity
from raft_chaos.raft.storage.log_file import FILE, CorruptLogError
from raft_chaos.raft.storage.recovery import fold
from raft_chaos.raft.storage.wal import WriteAheadLog

PERSIST = replace(TIMING, features=Features(persist_commit=True))
US = Identity("c", "n1")


def commits(server: Server) -> list[int]:
    """The commit indexes that the disk of the server has, in order."""
    return [record.index for batch in server.disk for record in batch if isinstance(record, Committed)]


def test_a_follower_writes_the_commit_index_behind_the_entries_of_the_same_write() -> None:
    server = Server(timing=PERSIST)
    server.receive("n2", AppendEntries(1, 0, 0, 1, entries(1, 1)))
    assert server.under_way is not None
    assert [type(record) for record in server.under_way.records] == [HardState, Append, Append, Committed]
    assert server.under_way.records[-1] == Committed(1)


def test_a_new_commit_index_alone_is_not_written() -> None:
    server = Server(timing=PERSIST)
    server.receive("n2", AppendEntries(1, 0, 0, 0, entries(1, 1)))
    server.persist_all()
    server.receive("n2", AppendEntries(1, 2, 1, 2, []))
    assert server.core.commit_index == 2
    assert server.under_way is None
    server.receive("n2", AppendEntries(1, 2, 1, 2, [Entry(1, command("c"))]))
    server.persist_all()
    assert commits(server) == [2]
    server.receive("n2", AppendEntries(1, 3, 1, 2, [Entry(1, command("d"))]))
    server.persist_all()
    assert commits(server) == [2], "it is not written again"


def test_without_the_feature_it_is_never_written() -> None:
    server = Server()
    server.receive("n2", AppendEntries(1, 0, 0, 2, entries(1, 1)))
    server.persist_all()
    assert commits(server) == []


def test_a_write_that_ends_before_a_truncation_does_not_speak_of_entries_behind_it() -> None:
    """The entries of the next write are committed already, and this write does not have them."""
    server = Server(timing=PERSIST)
    server.receive("n2", AppendEntries(1, 0, 0, 1, entries(1)))
    server.receive("n2", AppendEntries(1, 1, 1, 1, [Entry(1, command("x"))]))  # waits for the first write
    server.receive("n3", AppendEntries(2, 1, 1, 3, [Entry(2, command("y")), Entry(2, command("z"))]))
    assert server.core.commit_index == 3
    server.persist_all()
    for size in range(1, len(server.disk) + 1):
        recovered = fold(server.disk[:size])
        assert recovered.commit_index <= len(recovered.entries)
    assert commits(server) == [1, 3]


def test_a_node_that_starts_again_applies_what_was_committed_at_once() -> None:
    server = Server(timing=PERSIST)
    server.receive("n2", AppendEntries(1, 0, 0, 2, entries(1, 1, 1)))
    server.persist_all()
    server.crash()
    server.events.clear()
    server.start()
    assert (server.core.commit_index, server.core.last_applied) == (2, 2)
    assert [event.index for event in server.reported(CommitAdvanced)] == [2]
    assert [event.index for event in server.reported(EntryApplied)] == [1, 2]


def test_a_snapshot_begins_a_log_that_says_the_later_commits_anew() -> None:
    timing = replace(PERSIST, features=Features(persist_commit=True, snapshot_every=3))
    cluster = Cluster(timing=timing)
    cluster.elect("n1")
    for number in range(10):
        cluster.submit("n1", command(str(number)))
        cluster.settle()
    for server in cluster.servers.values():
        applied = server.core.last_applied
        server.crash()
        recovered = server.recovered()
        assert recovered.snapshot is not None
        last = recovered.snapshot.index + len(recovered.entries)
        assert recovered.commit_index <= last
        server.start()
        assert applied - 3 <= server.core.last_applied <= applied


# ---- recovery --------------------------------------------------------------------------------------------------------

BATCHES: list[list[Record]] = [
    [HardState(1, None), Append(1, Entry(1, b"a")), Append(2, Entry(1, b"b"))],
    [Append(3, Entry(1, b"c")), Committed(2)],
    [Append(4, Entry(1, b"d")), Append(5, Entry(1, b"e")), Committed(5)],
]
STATES = [(0, 0), (2, 0), (3, 2), (5, 5)]
"""How many entries there are, and how many are committed, after each of these writes."""


def written(disk: FaultDisk, operations: int | None) -> None:
    wal = WriteAheadLog(disk)
    wal.recover(US)
    if operations is not None:
        wal.disk = InterruptedDisk(disk, operations)  # type: ignore[assignment]
    for batch in BATCHES:
        wal.append(batch)
        wal.sync()


@pytest.mark.parametrize("keep", range(0, 101, 7))
def test_after_a_crash_at_every_operation_the_commit_index_has_its_entries(keep: int) -> None:
    """Whichever part of the unsynced bytes reaches the disk."""
    for operations in count():
        disk = MemoryDisk()
        faulty = FaultDisk(disk)
        try:
            written(faulty, operations)
        except InterruptedNodeError:
            faulty.let_through(FILE, faulty.unsynced_bytes(FILE) * keep // 100)
            faulty.forget()
            recovered = WriteAheadLog(disk).recover(US)
            assert (len(recovered.entries), recovered.commit_index) in STATES
            assert WriteAheadLog(disk).recover(US) == recovered
        else:
            break
    assert operations > 6
    recovered = WriteAheadLog(disk).recover(US)
    assert (len(recovered.entries), recovered.commit_index) == STATES[-1]


def test_a_commit_index_without_its_entries_is_refused() -> None:
    """No correct node writes one (PySyncObj #197)."""
    disk = FaultDisk(MemoryDisk())
    written(disk, None)
    wal = WriteAheadLog(disk)
    wal.recover(US)
    wal.append([Committed(6)])
    wal.sync()
    with pytest.raises(CorruptLogError, match=r"entries up to 6 were committed, but the log ends with entry 5\."):
        WriteAheadLog(disk).recover(US)
