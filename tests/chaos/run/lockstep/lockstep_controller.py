"""A run in the world `lockstep` that nobody waits for: `lockstep_controller.py FOLDER`, for tests that end it early."""

from __future__ import annotations

import sys
from pathlib import Path

from raft_chaos.chaos.run.lockstep.run import run_lockstep
from raft_chaos.chaos.schedule.data import Header, Operation, Schedule
from raft_chaos.invariants.rundir import RunDir, RunInfo
from raft_chaos.raft.state.timing import Timing

HOUR_US = 3_600_000_000


def main(folder: Path) -> None:
    header = Header(
        seed=1,
        nodes=["n1", "n2", "n3"],
        clients=["c0"],
        safety_from_us=0,
        safety_until_us=HOUR_US,
        liveness_for_us=0,
        required=[],
    )
    operations = [
        Operation(id=f"c0/{number}", client="c0", at_us=100_000 * number, f="put", key="x", value=str(number))
        for number in range(1, 10_000)
    ]
    timing = Timing(150_000, 300_000, 50_000)
    run_lockstep(Schedule(header, [], operations), timing, None, RunDir(folder / "run"), RunInfo(seed=1))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
