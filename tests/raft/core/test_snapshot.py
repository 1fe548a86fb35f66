"""§7 log compaction: snapshots that a node takes, sends in parts, and installs (Figure 13)."""

from __future__ import annotations

from zlib import crc32

import pytest
from msgspec.structs import replace

from cluster import TIMING, Cluster, Server, command, entries
from raft_chaos.invariants.events import EntryApplied, LogTruncated, SnapshotInstalled, SnapshotRestored, SnapshotTaken
from raft_chaos.invariants.judge import Judge
from raft_chaos.raft.core.leader import LONGEST_WRITE_TIMEOUTS
from raft_chaos.raft.replica.machine import Machine
from raft_chaos.raft.state.features import Features
from raft_chaos.raft.state.log import Log
from raft_chaos.raft.state.messages import (
    AppendEntries,
    AppendEntriesReply,
    Entry,
    InstallSnapshot,
    InstallSnapshotReply,
    SaveSnapshot,
)
from roles import Terms

EVERY_3 = replace(TIMING, features=Features(snapshot_every=3), chunk_bytes=7)


def part(
    term: int, log: list[Entry], *, offset: int = 0, size: int | None = None, of: bytes | None = None
) -> InstallSnapshot:
    """The part from `offset` on of the snapshot that replaces this log."""
    machine, digests = Machine(), Log()
    for index, entry in enumerate(log, 1):
        machine.apply(entry.command, (index, entry.term))
        digests.append(entry, 0)
    data = of if of is not None else machine.snapshot()
    shown = data[offset:] if size is None else data[offset : offset + size]
    last = log[-1].term
    return InstallSnapshot(term, len(log), last, digests.digest(len(log)), len(data), crc32(data), offset, shown)


def state_behind(log: list[Entry]) -> str:
    machine = Machine()
    for index, entry in enumerate(log, 1):
        machine.apply(entry.command, (index, entry.term))
    return machine.digest


# ---- its own ---------------------------------------------------------------------------------------------------------


def test_a_node_takes_a_snapshot_of_what_it_applied_and_drops_these_entries() -> None:
    log = entries(1, 1, 1, 1, 1)
    server = Server(timing=EVERY_3)
    server.receive("n2", AppendEntries(1, 0, 0, 4, log))
    server.persist()
    assert server.core.log.base_index == 4, "what is not applied stays"
    assert server.reported(SnapshotTaken) == [], "it is not durable yet"
    assert server.under_way is not None and isinstance(server.under_way.records[0], SaveSnapshot)
    server.persist()
    (taken,) = server.reported(SnapshotTaken)
    assert (taken.index, taken.term, taken.state) == (4, 1, state_behind(log[:4]))
    recovered = server.recovered()
    assert recovered.snapshot is not None and recovered.snapshot.index == 4
    assert recovered.entries == log[4:]


def test_a_restart_begins_with_the_snapshot_and_applies_only_the_tail() -> None:
    log = entries(1, 1, 1, 1, 1)
    server = Server(timing=EVERY_3)
    server.receive("n2", AppendEntries(1, 0, 0, 4, log))
    server.persist_all()
    server.crash()
    server.events.clear()
    server.start()
    (restored,) = server.reported(SnapshotRestored)
    assert (restored.index, restored.digest) == (4, state_behind(log[:4]))
    assert (server.core.commit_index, server.core.last_applied, server.core.log.last_index) == (4, 4, 5)
    server.receive("n2", AppendEntries(2, 5, 1, 5, []))
    server.persist_all()
    applied = server.reported(EntryApplied)
    assert [one.index for one in applied] == [5]
    assert applied[0].digest == state_behind(log)


def test_a_crash_before_the_snapshot_is_durable_leaves_the_whole_log() -> None:
    log = entries(1, 1, 1)
    server = Server(timing=EVERY_3)
    server.receive("n2", AppendEntries(1, 0, 0, 3, log))
    server.persist()
    assert server.core.log.base_index == 3
    server.crash()
    assert server.recovered().entries == log
    server.start()
    assert server.core.log.base_index == 0


def test_only_one_snapshot_is_on_its_way_to_the_disk() -> None:
    log = entries(*[1] * 13)
    server = Server(timing=EVERY_3)
    server.receive("n2", AppendEntries(1, 0, 0, 4, log[:12]))
    server.persist()
    server.receive("n2", AppendEntries(1, 12, 1, 12, []))
    assert (server.core.last_applied, server.core.log.base_index) == (12, 4)
    server.persist()
    server.receive("n2", AppendEntries(1, 12, 1, 13, log[12:]))
    server.persist_all()
    assert server.core.log.base_index == 13


# ---- a leader's ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("log", [(), (1, 1), (1, 2), (3, 3, 3)])
def test_a_snapshot_replaces_a_log_that_lacks_its_last_entry(log: Terms) -> None:
    """Figure 13, step 7: discard the entire log. The reply waits until the snapshot is durable."""
    prefix = entries(1, 2, 4)
    server = Server(log=entries(*log), term=4)
    message = part(4, prefix)
    server.receive("n2", message)
    assert server.outbox == []
    server.persist_all()
    assert server.outbox == [("n2", InstallSnapshotReply(4, 3, message.size, True))]
    (installed,) = server.reported(SnapshotInstalled)
    (restored,) = server.reported(SnapshotRestored)
    assert (installed.index, installed.term, installed.digest) == (3, 4, message.digest)
    assert restored.digest == state_behind(prefix)
    core = server.core
    assert (core.log.base_index, core.log.last_index, core.commit_index, core.last_applied) == (3, 3, 3, 3)
    assert [one.from_index for one in server.reported(LogTruncated)] == ([3] if len(log) >= 3 else [])
    recovered = server.recovered()
    assert recovered.snapshot is not None and (recovered.snapshot.index, recovered.entries) == (3, [])


def test_entries_behind_the_snapshot_stay_if_its_last_entry_matches() -> None:
    """Figure 13, step 6: an older snapshot never removes a newer suffix."""
    log = entries(1, 2, 2, 2)
    server = Server(log=log, term=2)
    server.receive("n2", part(3, log[:3]))
    server.persist_all()
    core = server.core
    assert (core.log.base_index, core.log.last_index, core.commit_index, core.last_applied) == (3, 4, 3, 3)
    assert server.reported(LogTruncated) == []
    assert server.recovered().entries == log[3:]
    whole = Server(log=log, term=2)
    assert core.log.digest(4) == whole.core.log.digest(4)


def test_an_entry_that_contradicts_the_snapshot_is_deleted_with_all_behind_it() -> None:
    server = Server(log=entries(1, 2, 2, 2), term=3)
    server.receive("n2", part(3, entries(1, 3, 3)))
    server.persist_all()
    core = server.core
    assert (core.log.base_index, core.log.last_index, core.log.base_term) == (3, 3, 3)
    assert [one.from_index for one in server.reported(LogTruncated)] == [3]


def test_a_crash_on_the_way_loses_nothing_that_was_acknowledged() -> None:
    """The log may hold entries that the leader counts. They must not go before the snapshot is there."""
    server = Server(log=entries(1, 1), term=1)
    server.receive("n2", part(1, entries(1, 1, 1)))
    server.crash()
    assert server.recovered().entries == entries(1, 1)


@pytest.mark.parametrize("prefix", [1, 2])
def test_an_older_snapshot_changes_nothing(prefix: int) -> None:
    log = entries(1, 1, 1)
    server = Server(log=log, term=1)
    server.receive("n2", AppendEntries(1, 3, 1, 2, []))
    server.persist_all()
    server.outbox.clear()
    message = part(1, log[:prefix])
    server.receive("n2", message)
    core = server.core
    assert (core.log.base_index, core.log.last_index, core.commit_index) == (0, 3, 2)
    assert server.outbox == [("n2", InstallSnapshotReply(1, prefix, message.size, True))], "it has all of that"


def test_a_snapshot_of_an_earlier_term_is_refused() -> None:
    server = Server(term=5)
    server.receive("n2", part(4, entries(1)))
    assert server.outbox == [("n2", InstallSnapshotReply(5, 1, 0, False))]
    assert server.core.log.base_index == 0


def test_a_snapshot_follows_its_sender_and_resets_the_election_timer() -> None:
    server = Server(term=1)
    deadline = server.core.deadline_us
    server.now_us = deadline - 1
    server.receive("n3", part(2, entries(1), size=3))
    assert (server.core.leader, server.core.current_term) == ("n3", 2)
    assert server.core.deadline_us > deadline


def test_parts_are_put_together_in_order_whatever_is_lost_or_comes_twice() -> None:
    prefix = entries(1, 1)
    server = Server(term=1)
    whole = part(1, prefix)
    middle, end = whole.size // 3, 2 * whole.size // 3
    steps = [(0, middle), (0, middle), (end, whole.size), (middle, end), (0, middle), (middle, end)]
    replies = [middle, middle, middle, end, end, end]
    for (begin, until), has in zip(steps, replies, strict=True):
        server.receive("n2", part(1, prefix, offset=begin, size=until - begin))
        assert server.take_outbox() == [("n2", InstallSnapshotReply(1, 2, has, False))]
    server.receive("n2", part(1, prefix, offset=end))
    server.persist_all()
    assert server.take_outbox() == [("n2", InstallSnapshotReply(1, 2, whole.size, True))]


def test_a_new_leader_continues_where_the_old_one_stopped_if_it_is_the_same_snapshot() -> None:
    prefix = entries(1, 1)
    server = Server(term=1)
    server.receive("n2", part(1, prefix, size=10))
    server.take_outbox()
    server.receive("n3", part(2, prefix, size=10))
    server.persist_all()
    assert server.take_outbox() == [("n3", InstallSnapshotReply(2, 2, 10, False))]
    server.receive("n3", part(2, entries(1, 1, 1), size=10, offset=10))
    assert server.take_outbox() == [("n3", InstallSnapshotReply(2, 3, 0, False))], "of another one it has nothing"


def test_data_that_changed_on_the_way_are_thrown_away() -> None:
    server = Server(term=1)
    good = part(1, entries(1))
    server.receive("n2", replace(good, data=bytes(len(good.data))))
    assert server.take_outbox() == [("n2", InstallSnapshotReply(1, 1, 0, False))]
    assert server.core.log.base_index == 0


def test_late_entries_that_the_snapshot_replaces_are_skipped() -> None:
    log = entries(1, 1, 1, 1)
    server = Server(term=1)
    server.receive("n2", part(1, log[:3]))
    server.persist_all()
    server.outbox.clear()
    server.receive(
        "n2", AppendEntries(1, 0, 0, 0, log[:2]), AppendEntries(1, 0, 0, 0, log), AppendEntries(1, 1, 1, 0, [])
    )
    server.persist_all()
    assert server.core.log.last_index == 4
    assert server.core.log.entry(4) == log[3]
    assert sorted(reply.match_index for _, reply in server.outbox if isinstance(reply, AppendEntriesReply)) == [3, 3, 4]


# ---- the leader ------------------------------------------------------------------------------------------------------


def lagging(size: int = 3) -> tuple[Cluster, Server]:
    """n1 leads and has compacted its log; n3 was cut off meanwhile, and has nothing of it."""
    cluster = Cluster(size, timing=EVERY_3)
    leader = cluster.elect("n1")
    cluster.cut_off = frozenset({"n3"})
    for number in range(8):
        cluster.submit("n1", command(str(number)))
        cluster.settle()
    assert leader.core.log.base_index > cluster["n3"].core.log.last_index
    cluster.cut_off = frozenset()
    return cluster, leader


def test_a_follower_that_lags_behind_the_log_gets_the_snapshot_in_parts_then_entries() -> None:
    cluster, leader = lagging()
    cluster.traffic.clear()
    cluster.heartbeat("n1")
    cluster.heartbeat("n1")
    parts = [one.message for one in cluster.traffic if isinstance(one.message, InstallSnapshot)]
    assert len(parts) > 2
    assert [one.offset for one in parts] == [7 * number for number in range(len(parts))], "one after the other, once"
    follower = cluster["n3"].core
    assert (follower.last_applied, follower.log.last_index) == (leader.core.last_applied, leader.core.log.last_index)
    assert cluster["n3"].replica is not None and leader.replica is not None
    assert cluster["n3"].replica.machine.digest == leader.replica.machine.digest
    judge = Judge(voters=list(cluster.servers))
    for event in cluster.all_events():
        judge.observe(event)
    assert [verdict.invariant for verdict in judge.verdicts() if verdict.outcome == "violated"] == []


def test_a_lost_part_is_sent_again_with_the_next_heartbeat() -> None:
    cluster, leader = lagging()
    cluster.tick("n1")
    cluster.deliver_from("n1", "n2", "n3")
    cluster.deliver_from("n3", "n1")
    assert [one.message.offset for one in cluster.network if isinstance(one.message, InstallSnapshot)] == [0]
    cluster.drop()
    cluster.heartbeat("n1")
    cluster.heartbeat("n1")
    assert cluster["n3"].core.last_applied == leader.core.last_applied


def test_a_transfer_goes_on_after_a_restart_of_the_follower() -> None:
    cluster, leader = lagging()
    cluster.tick("n1")
    for _ in range(3):
        cluster.deliver_from("n1", "n3")
        cluster.deliver_from("n3", "n1")
    assert leader.core.progress["n3"].offset > 0
    cluster.crash("n3")
    cluster.drop()
    cluster.restart("n3")
    for _ in range(3):
        cluster.heartbeat("n1")
    assert cluster["n3"].core.last_applied == leader.core.last_applied


def test_the_leader_finishes_a_transfer_although_it_takes_newer_snapshots_meanwhile() -> None:
    cluster, leader = lagging()
    cluster.tick("n1")
    for _ in range(2):
        cluster.deliver_from("n1", "n3")
        cluster.deliver_from("n3", "n1")
    first = leader.core.progress["n3"].snapshot
    assert first is not None
    cluster.cut_off = frozenset({"n3"})
    leader.core.progress["n3"].contact_us -= (
        LONGEST_WRITE_TIMEOUTS * TIMING.election_timeout_max_us
    )  # or it would keep its log for n3
    for number in range(8):
        cluster.submit("n1", command(f"more {number}"))
        cluster.settle()
    assert leader.core.log.base_index > first.index
    cluster.cut_off = frozenset()
    cluster.heartbeat("n1")
    installed = [one.index for one in cluster["n3"].reported(SnapshotInstalled)]
    assert installed == [first.index, leader.core.log.base_index]


@pytest.mark.parametrize("is_silent", [True, False])
def test_a_follower_that_was_silent_gets_the_newest_snapshot_alone(is_silent: bool) -> None:
    """None of the first one arrived. A follower that answers meanwhile gets that one first, or none might ever end."""
    cluster, leader = lagging()
    cluster.tick("n1")
    cluster.deliver_from("n1", "n3")
    cluster.deliver_from("n3", "n1")
    first = leader.core.progress["n3"].snapshot
    assert first is not None
    cluster.drop()
    cluster.cut_off = frozenset({"n3"})
    progress = leader.core.progress["n3"]
    progress.contact_us -= (
        LONGEST_WRITE_TIMEOUTS * TIMING.election_timeout_max_us
    )  # or the leader would keep its log for it
    for number in range(8):
        cluster.submit("n1", command(f"more {number}"))
        cluster.settle()
    newest = leader.core.snapshot
    assert newest is not None and newest.index > first.index
    cluster.cut_off = frozenset()
    for _ in range(10):
        if not is_silent:
            progress.contact_us = leader.core.now_us
        cluster.tick("n1")
        cluster.drop()
    assert is_silent == (leader.core.now_us - progress.contact_us >= leader.core.timing.election_timeout_min_us)
    cluster.heartbeat("n1")
    installed = [one.index for one in cluster["n3"].reported(SnapshotInstalled)]
    assert installed == ([newest.index] if is_silent else [first.index, newest.index])


def test_a_late_reply_does_not_make_the_leader_send_twice() -> None:
    cluster, leader = lagging()
    cluster.tick("n1")
    for _ in range(2):
        cluster.deliver_from("n1", "n3")
        cluster.deliver_from("n3", "n1")
    progress = leader.core.progress["n3"]
    offset, index = progress.offset, progress.snapshot.index if progress.snapshot is not None else 0
    leader.outbox.clear()
    leader.receive("n3", InstallSnapshotReply(leader.core.current_term, index, offset, False))
    assert leader.sent(InstallSnapshot) == []
    leader.receive("n3", InstallSnapshotReply(leader.core.current_term, index + 1, offset + 1, False))
    assert leader.sent(InstallSnapshot) == [], "of another snapshot"


# ---- while entries come faster than snapshots ------------------------------------------------------------------------


def behind() -> Cluster:
    """n1 leads, and n3 is so far behind that it needs a snapshot, of many parts."""
    cluster = Cluster(timing=EVERY_3)
    cluster.elect("n1")
    cluster.cut_off = frozenset({"n3"})
    for number in range(8):
        cluster.submit("n1", command(f"{number}"))
        cluster.settle()
    cluster.cut_off = frozenset()
    assert cluster["n1"].core.log.base_index > cluster["n3"].core.log.last_index
    return cluster


def test_a_follower_catches_up_although_entries_come_faster_than_parts_of_snapshots() -> None:
    """If the leader dropped what follows the snapshot before it arrives, it would need another one, and so on."""
    cluster = behind()
    leader, follower = cluster["n1"], cluster["n3"]
    cluster.tick("n1")
    begun = leader.core.log.base_index
    for number in range(100):
        for more in range(4):
            cluster.submit("n1", command(f"{number}.{more}"))
        for name in ("n1", "n2"):
            cluster.persist_all(name)
        cluster.deliver_from("n1", "n2")
        cluster.deliver_from("n2", "n1")
        cluster.deliver_from("n1", "n3")  # one part each time
        cluster.persist_all("n3")
        cluster.deliver_from("n3", "n1")
        if follower.core.log.last_index > begun:
            break
    cluster.settle()
    assert follower.core.log.last_index == leader.core.log.last_index
    assert [one.index for one in follower.reported(SnapshotInstalled)] == [begun], "one snapshot is enough"
    cluster.submit("n1", command("last"))
    cluster.settle()
    assert leader.core.last_applied - leader.core.log.base_index < 3, "and then the leader compacts its log again"


def test_a_follower_that_does_not_answer_keeps_no_leader_from_compacting_its_log() -> None:
    cluster = behind()
    cluster.cut_off = frozenset({"n3"})
    before = cluster["n1"].core.log.base_index
    for number in range(LONGEST_WRITE_TIMEOUTS * TIMING.election_timeout_max_us // TIMING.heartbeat_us + 2):
        cluster.heartbeat("n1")
        cluster.submit("n1", command(f"late {number}"))
        cluster.settle()
    assert cluster["n1"].core.log.base_index > before
