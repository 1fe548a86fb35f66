"""The nemesis over asyncio's tasks, which begin later than those of virtual time."""

from __future__ import annotations

import asyncio

from builders.schedules import fault
from builders.scripted_world import NODES, ScriptedWorld
from raft_chaos.chaos.faults.process import Kill
from raft_chaos.chaos.run.cluster_view import ClusterView
from raft_chaos.chaos.run.fault_log import FaultLog
from raft_chaos.chaos.run.live.tasks import LiveTasks
from raft_chaos.chaos.run.nemesis import Nemesis
from raft_chaos.chaos.schedule.data import When
from raft_chaos.invariants.events import FaultInjected, HarnessEvent, VoteGranted


def test_an_event_right_after_the_start_is_not_missed() -> None:
    """No task of a fault has begun when the vote comes."""
    events: list[HarnessEvent] = []

    async def scenario() -> None:
        async with asyncio.TaskGroup() as group:
            view = ClusterView(NODES, lambda event, number, reporter: nemesis.happened(event, number, reporter))
            nemesis = Nemesis(
                world=ScriptedWorld(lambda: 0),
                view=view,
                log=FaultLog(NODES, lambda: 0, events.append),
                nodes=NODES,
                tasks=LiveTasks(group, lambda: 0),
            )
            nemesis.start([fault("f1", When(on="vote_granted", nth=1), Kill(["voter"], [0]))])
            view.observe(VoteGranted(node="n3", inc=1, t_us=0, term=1, candidate="n1"))
            for _ in range(100):  # far more turns of the loop than it takes
                await asyncio.sleep(0)
            await nemesis.end()

    asyncio.run(asyncio.wait_for(scenario(), 30))
    assert [event.targets for event in events if isinstance(event, FaultInjected)] == [("n3",)]
