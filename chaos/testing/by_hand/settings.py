"""The cluster by hand that the settings of a run describe, in a run directory of its own."""

from __future__ import annotations

from raft_chaos.chaos.run.settings import Settings, describe
from raft_chaos.chaos.schedule.data import Header, Schedule
from raft_chaos.chaos.testing.by_hand.cluster import Cluster
from raft_chaos.chaos.testing.by_hand.live import LiveStage
from raft_chaos.chaos.testing.by_hand.stage import CLIENT, Stage
from raft_chaos.chaos.testing.by_hand.virtual import VirtualStage
from raft_chaos.invariants.rundir import RunDir
from raft_chaos.raft.state.features import Features

FEWEST = 3


def open_cluster(settings: Settings, seed: int, run: RunDir) -> Cluster:
    """A cluster whose nodes are up. The seed decides the nodes' timers, and in virtual time the network and disks.

    Raises SetupError if it cannot begin, HarnessError or DriverError if the harness itself fails.
    """
    nodes = [f"n{number}" for number in range(1, (settings.schedule.nodes or FEWEST) + 1)]
    header = Header(
        seed=seed,
        nodes=nodes,
        clients=[CLIENT],
        safety_from_us=0,
        safety_until_us=0,
        liveness_for_us=0,
        features=Features.of(settings.schedule.features or ()),
    )
    schedule = Schedule(header, [], [])
    info = describe(settings, seed, schedule, run)
    info.repro = ""  # no command repeats what a test does
    stage: Stage
    if settings.world == "live":
        stage = LiveStage(schedule, settings.target(), run, info)
    else:
        stage = VirtualStage(schedule, settings.timing, settings.mutant, run, info)
    return Cluster(stage)
