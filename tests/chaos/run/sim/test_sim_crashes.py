"""Nodes that go down in virtual time: what a crash leaves on the disk, failpoints, and nodes that exit."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from test_sim_cluster import SLOW_SYNC, harness, put, reported_by

from builders.schedules import LONGEST_US, NODES
from builders.virtual_cluster import Nodes
from raft_chaos.chaos.faults.process import Failpoint
from raft_chaos.invariants.events import EntryAppended, MessageSent, NodeExited, NodeLaunched, Started
from raft_chaos.raft.core import Core
from raft_chaos.raft.replica.machine import Machine
from raft_chaos.raft.replica.result import NOWHERE, Place, Result
from raft_chaos.raft.server.exit_codes import EXIT_CRASHED, EXIT_REFUSED
from raft_chaos.raft.server.parts import Parts
from raft_chaos.raft.storage.log_file import FILE

# ---- crashes and failpoints --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("keep_permille", "entries"), [(0, 1), (500, 1), (1000, 2)])
def test_a_crash_loses_unsynced_bytes_or_tears_them(keep_permille: int, entries: int) -> None:
    nodes = Nodes(model=SLOW_SYNC)
    leader = nodes.leader()
    nodes.go(LONGEST_US)
    nodes.submit(leader, "lost", put("x" * 100))
    nodes.cluster.kill(leader, keep_permille)
    assert nodes.cluster.lost_writes == (keep_permille < 1000)
    assert nodes.cluster.torn_writes == (keep_permille == 500)
    nodes.cluster.start(leader)
    started = nodes.reports(Started, leader)[-1]
    assert (started.inc, started.last_index) == (2, entries)
    recovered = [e.index for e in nodes.reports(EntryAppended, leader) if e.inc == 2]
    assert recovered[:entries] == list(range(1, entries + 1)) and len(recovered) == entries
    assert {verdict.outcome for verdict in nodes.judge.verdicts()} <= {"valid", "unknown"}


def test_a_crash_with_nothing_unsynced_loses_nothing() -> None:
    nodes = Nodes()
    nodes.cluster.kill("n1", 500)
    assert (nodes.cluster.lost_writes, nodes.cluster.torn_writes) == (0, 0)


@pytest.mark.parametrize("failpoint", ["before_report", "before_send", "mid_send", "before_write"])
def test_an_armed_node_runs_until_it_reaches_its_failpoint(failpoint: Failpoint) -> None:
    nodes = Nodes()
    leader = nodes.leader()
    nodes.go(LONGEST_US)
    reached: list[int] = []

    def strike() -> None:
        reached.append(nodes.scheduler.now_us)
        nodes.cluster.kill(leader, 1000)

    assert nodes.cluster.arm(leader, failpoint, strike)
    if failpoint in ("before_report", "before_write"):
        nodes.go(0)
        nodes.submit(leader, "mine", put("v"))
    nodes.until(lambda: reached)
    assert nodes.cluster.state(leader) == "down"
    assert nodes.broken == [leader]
    before = len(reported_by(nodes, leader))
    nodes.go(LONGEST_US)
    assert len(reached) == 1 and len(reported_by(nodes, leader)) == before


def test_a_restart_disarms_a_failpoint() -> None:
    nodes = Nodes()
    nodes.cluster.arm("n1", "before_send", lambda: pytest.fail("it was killed before"))
    nodes.cluster.kill("n1", 0)
    nodes.cluster.start("n1")
    nodes.go(3 * LONGEST_US)
    assert nodes.reports(MessageSent, "n1")


def test_a_node_that_is_disarmed_passes_its_failpoint() -> None:
    nodes = Nodes()
    leader = nodes.leader()
    nodes.cluster.arm(leader, "before_send", lambda: pytest.fail("it was disarmed"))
    nodes.cluster.disarm(leader)
    nodes.go(LONGEST_US)
    assert nodes.cluster.state(leader) == "up"


def test_a_command_whose_step_ends_at_a_failpoint_gets_no_answer() -> None:
    nodes = Nodes()
    leader = nodes.leader()
    nodes.cluster.arm(leader, "before_write", lambda: nodes.cluster.kill(leader, 0) or None)
    assert nodes.submit(leader, "mine", put("v"))
    assert nodes.broken == [leader], "the end of its node is its answer"
    assert not nodes.replies and not nodes.refusals


# ---- nodes that die of themselves --------------------------------------------------------------------------------


class DiesApplying(Machine):
    def apply(self, command: bytes, place: Place = NOWHERE) -> Result | None:
        if b"poison" in command:
            raise RuntimeError("it was poisoned")
        return super().apply(command, place)


class DiesVoting(Core):
    def _start_election(self) -> None:
        raise ZeroDivisionError("no votes today")


def _damage(disk: bytearray) -> None:
    disk[12] ^= 1


def _empty(disk: bytearray) -> None:
    del disk[:]


def test_a_node_that_raises_is_reported_and_stays_down() -> None:
    nodes = Nodes(Parts(machine=DiesApplying))
    leader = nodes.leader()
    nodes.submit(leader, "mine", put("poison"))
    nodes.until(lambda: nodes.cluster.state(leader) == "exited")
    (exited, *_) = harness(nodes, NodeExited)
    assert (exited.subject, exited.subject_inc) == (leader, 1)  # type: ignore[union-attr]
    assert (exited.exit_code, exited.log_tail.split(" (")[0]) == (EXIT_CRASHED, "RuntimeError: it was poisoned")  # type: ignore[union-attr]
    assert nodes.broken[0] == leader
    assert not nodes.cluster.start(leader) and not nodes.cluster.kill(leader, 0)
    assert nodes.cluster.state(leader) == "exited" and nodes.cluster.incarnation(leader) == 1
    nodes.go(3 * LONGEST_US)
    assert len(harness(nodes, NodeExited, leader)) == 1
    assert any(v.invariant == "unexpected_exit" and v.outcome == "violated" for v in nodes.judge.verdicts())


def test_a_node_that_raises_on_its_timer_exits() -> None:
    nodes = Nodes(Parts(core=DiesVoting))
    nodes.go(LONGEST_US)
    assert [nodes.cluster.state(node) for node in NODES] == ["exited"] * 3
    assert {event.log_tail.split(" (")[0] for event in harness(nodes, NodeExited)} == {
        "ZeroDivisionError: no votes today"
    }  # type: ignore[union-attr]


@pytest.mark.parametrize("spoil", [_damage, _empty])
def test_a_node_that_refuses_to_start_exits_with_its_own_code(spoil: Callable[[bytearray], None]) -> None:
    nodes = Nodes()
    leader = nodes.leader()
    nodes.go(LONGEST_US)
    nodes.cluster.kill(leader, 0)
    spoil(nodes.driver.disk(leader).files[FILE])
    assert not nodes.cluster.start(leader)
    assert nodes.cluster.state(leader) == "exited" and nodes.cluster.incarnation(leader) == 2
    (exited,) = harness(nodes, NodeExited)
    assert (exited.subject_inc, exited.exit_code) == (2, EXIT_REFUSED)  # type: ignore[union-attr]
    assert exited.exit_code == 78  # type: ignore[union-attr]
    assert exited.log_tail.startswith(f"CorruptLogError: {FILE}, offset ")  # type: ignore[union-attr]
    assert len(harness(nodes, NodeLaunched, leader)) == 1, "it never ran"
    assert nodes.until(lambda: nodes.view.leader) != leader
    assert not nodes.submit(leader, 0, put("v"))
