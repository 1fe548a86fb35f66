"""Faults of disks in an execution: a recorded run plays back to the same ends, in this process and from a file."""

from __future__ import annotations

import msgspec

from builders.executions import Lines, play
from builders.runs import TIMING
from builders.schedules import TWO_LEADERS, fault, short
from raft_chaos.chaos.execution.recording import record
from raft_chaos.chaos.execution.steps import BreakDisk, Crash, DamageData, Execution
from raft_chaos.chaos.faults.at_rest import BitFlip
from raft_chaos.chaos.faults.disk_error import DiskError
from raft_chaos.chaos.faults.process import Kill
from raft_chaos.raft.server.parts import Parts

PLAN = short(
    *TWO_LEADERS,
    fault("f3", 420_000, DiskError(["n2"], "sync", "EIO", once=True), 100_000),
    fault("f4", 560_000, Kill(["n1"], [1_000], [700], holes=[5])),
    fault("f5", 720_000, BitFlip(["n3"], 400, 1_000)),
)


def test_a_run_with_faults_of_disks_plays_back_to_the_same_ends() -> None:
    simulated, execution = record(PLAN, TIMING, Parts())
    assert simulated.analysis.verdict == "valid"
    kinds = {type(step) for step in execution.steps}
    assert {BreakDisk, DamageData, Crash} <= kinds
    assert any(isinstance(step, Crash) and step.holes for step in execution.steps)
    lines = Lines()
    played = play(msgspec.json.decode(msgspec.json.encode(execution), type=Execution), sink=lines)
    assert played.done == list(range(len(execution.steps)))
    assert [(exited["subject"], exited["exit_code"], exited["excused"]) for exited in lines.of("node_exited")] == [
        ("n2", 74, "a failing disk"),
        ("n3", 78, "damaged data"),
    ]
    assert {verdict.outcome for verdict in played.verdicts} <= {"valid", "unknown"}
