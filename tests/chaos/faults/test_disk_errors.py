"""Disks that fail: what the fault asks of a world, and in `sim` what a node of our own then does."""

from __future__ import annotations

import pytest

from builders.runs import of, virtual
from builders.schedules import TWO_LEADERS, fault, short
from builders.scripted_world import Stage
from raft_chaos.chaos.faults.disk_error import DiskError
from raft_chaos.invariants.events import FaultHealed, NodeExited
from raft_chaos.raft.server.exit_codes import EXIT_DISK, EXIT_STARVED
from raft_chaos.raft.storage.failing import DiskErrorName, DiskOperation, Failing

SYNC = Failing("sync", "EIO")


def test_a_disk_fails_for_a_while_and_its_node_starts_again() -> None:
    stage = Stage()
    stage.at(20, lambda: stage.world.states.update(n2="down"))
    stage.at(20, lambda: stage.world.exit_codes.update(n2=EXIT_DISK))
    stage.play(fault("f1", 10, DiskError(["n2"], "sync", "EIO"), 50))
    assert stage.world.asked == [(10, "break_disk", "n2", SYNC), (60, "break_disk", "n2", None), (60, "start", "n2")]
    assert stage.injected().detail == "each sync of n2 fails: EIO"
    assert stage.seen() == (True, "n2 ended with exit code 74; running again: n2", "")


def test_a_node_reads_only_when_it_starts() -> None:
    stage = Stage().play(fault("f1", 10, DiskError(["n2"], "read", "EIO"), 50))
    assert [what for _, what, *_ in stage.world.asked] == ["break_disk", "kill", "start", "break_disk"]
    assert stage.asked("kill") == [(10, "kill", {"n2": 1000})]


def test_a_node_that_goes_on_with_a_failing_disk_makes_the_fault_ineffective() -> None:
    stage = Stage()
    stage.at(20, lambda: stage.world.failures.update(n2=3))
    stage.play(fault("f1", 10, DiskError(["n2"], "append", "ENOSPC", once=True), 50))
    assert stage.injected().detail == "the next append of n2 fails: ENOSPC"
    assert stage.seen() == (False, "no node ended; running again: none", "")


def test_a_disk_that_was_not_used_excuses_the_fault() -> None:
    stage = Stage().play(fault("f1", 10, DiskError(["n2"], "append", "EIO"), 50))
    assert stage.seen() == (False, "no node ended; running again: none", "no append was tried")


def test_of_two_faults_of_a_disk_the_latest_counts() -> None:
    append = DiskError(["n2"], "append", "EIO")
    stage = Stage().play(
        fault("f1", 10, append, 100), fault("f2", 20, DiskError(["n2"], "sync", "EIO"), 30), end_us=1000
    )
    assert [failing for *_, failing in stage.asked("break_disk")] == [
        Failing("append", "EIO"),
        SYNC,
        Failing("append", "EIO"),
        None,
    ]


@pytest.mark.parametrize(
    ("operation", "error", "once", "exit_code"),
    [
        ("append", "EIO", False, EXIT_DISK),
        ("append", "ENOSPC", False, EXIT_STARVED),
        ("sync", "EIO", True, EXIT_DISK),
        ("sync", "ENOSPC", False, EXIT_STARVED),
        ("read", "EIO", False, EXIT_DISK),
    ],
)
def test_in_sim_the_node_ends_and_continues_from_what_was_synced(
    operation: DiskOperation, error: DiskErrorName, once: bool, exit_code: int
) -> None:
    broken = DiskError(["n2"], operation, error, once)
    run = virtual(short(*TWO_LEADERS, fault("f3", 420_000, broken, 100_000)))
    assert run.go().analysis.verdict == "valid"
    (exited,) = of(NodeExited, run.trace.harness_events)
    assert (exited.subject, exited.exit_code, exited.excused) == ("n2", exit_code, "a failing disk")
    assert f"{'identity.json' if operation == 'read' else 'raft.wal'}: cannot " in exited.log_tail
    (healed,) = [healed for healed in of(FaultHealed, run.trace.harness_events) if healed.fault == "f3"]
    assert healed.effective, healed.effect
    assert run.cluster.state("n2") == "up"
