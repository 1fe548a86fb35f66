"""A run in the world `lockstep` that nobody waits for, for tests that end it early.

Started as `python -m run.lockstep.lockstep_controller FOLDER`.
"""

from __future__ import annotations

import sys
from pathlib import Path

from builders.schedules import schedule
from raft_chaos.chaos.run.lockstep.run import run_lockstep
from raft_chaos.invariants.rundir import RunDir, RunInfo
from raft_chaos.raft.state.timing import Timing

HOUR_US = 3_600_000_000


def main(folder: Path) -> None:
    plan = schedule(safety_us=(0, HOUR_US), liveness_us=0, clients=1, every_us=100_000)
    run_lockstep(plan, Timing(150_000, 300_000, 50_000), None, RunDir(folder / "run"), RunInfo(seed=1))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
