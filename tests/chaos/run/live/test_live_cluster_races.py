"""Whatever is done to a node of a live run while something else is under way: nothing of it is blamed on the node.

For each two of what a nemesis does, in each order, a little apart, and for each three at once: meanwhile the harness
looks for nodes that ended by themselves. None did, so none may be reported; what is reported comes in an order that can
be, and states are those of the processes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from itertools import product
from pathlib import Path
from typing import NamedTuple

import pytest
from idle_node import IdleTarget
from live_nodes import Cluster

from builders.processes import process_state
from builders.schedules import NODES
from raft_chaos.chaos.processes.supervisor import Supervisor
from raft_chaos.invariants.events import HarnessEvent, NodeKilled, NodeLaunched, NodePaused, NodeResumed, NodeSampled

pytestmark = pytest.mark.live

ACTIONS: dict[str, Callable[[Cluster, str], Awaitable[object]]] = {
    "start": lambda cluster, node: cluster.start(node),
    "kill": lambda cluster, node: cluster.kill([node]),
    "pause": lambda cluster, node: cluster.pause(node),
    "resume": lambda cluster, node: cluster.resume(node),
    "slow_sync": lambda cluster, node: cluster.slow_sync(node, (1, 2)),
}
MAY_FOLLOW: dict[type[HarnessEvent] | None, set[type[HarnessEvent]]] = {
    None: {NodeLaunched},
    NodeLaunched: {NodePaused, NodeKilled},
    NodePaused: {NodeResumed, NodeKilled},
    NodeResumed: {NodePaused, NodeKilled},
    NodeKilled: {NodeLaunched},
}


class Race(NamedTuple):
    """Actions on a node in this state, each with its delay in ms after the one before."""

    state: str
    actions: tuple[str, ...]
    apart_ms: int


@pytest.fixture(scope="module")
def supervisor() -> Iterator[Supervisor]:
    with Supervisor() as supervisor:
        yield supervisor


async def brought_to(cluster: Cluster, node: str, state: str) -> None:
    if state == "down":
        await cluster.kill([node])
        return
    await cluster.resume(node)
    await cluster.start(node)
    if state == "paused":
        await cluster.pause(node)


async def run_race(cluster: Cluster, node: str, race: Race) -> None:
    """Runs all actions, and checks the state at the end."""
    await brought_to(cluster, node, race.state)
    assert cluster.state(node) == race.state

    async def one(place: int, action: str) -> None:
        if place and race.apart_ms:
            await asyncio.sleep(place * race.apart_ms / 1e3)
        await ACTIONS[action](cluster, node)

    await asyncio.gather(*(one(place, action) for place, action in enumerate(race.actions)))
    assert cluster.state(node) == process_state(cluster.child(node)), race


async def run_all(cluster: Cluster, races: list[Race]) -> None:
    """Each node takes the next remaining race, while the test looks for exits continuously."""
    left = iter(races)

    async def racing(node: str) -> None:
        for race in left:
            await run_race(cluster, node, race)

    async def watching() -> None:
        while True:
            cluster.find_exits()
            cluster.sample()
            await asyncio.sleep(0.0005)

    watch = asyncio.ensure_future(watching())
    try:
        await asyncio.gather(*(racing(node) for node in NODES))
        await cluster.kill(NODES)
    finally:
        watch.cancel()
    cluster.find_exits()


def check(cluster: Cluster) -> None:
    """Checks that the events about each node are possible."""
    for node in NODES:
        last: type[HarnessEvent] | None = None
        incarnation = 0
        for event in cluster.reported:
            if isinstance(event, NodeSampled) or getattr(event, "subject", None) != node:
                continue
            assert type(event) in MAY_FOLLOW[last], (last, event)
            last = type(event)
            incarnation += isinstance(event, NodeLaunched)
            assert event.subject_inc == incarnation  # type: ignore[attr-defined]
        assert incarnation == cluster.incarnation(node)
        assert last in (None, NodeKilled)


STATES = ("down", "up", "paused")
TWO = [Race(state, pair, apart) for state, pair, apart in product(STATES, product(ACTIONS, repeat=2), range(6))]
THREE = [Race(state, three, 0) for state, three in product(STATES, product(ACTIONS, repeat=3))]


@pytest.mark.slow
@pytest.mark.parametrize("races", [TWO, THREE], ids=["two", "three"])
def test_concurrent_actions_are_not_reported_as_exits(
    supervisor: Supervisor, tmp_path: Path, races: list[Race]
) -> None:
    cluster = Cluster(supervisor, tmp_path, target=IdleTarget())
    asyncio.run(run_all(cluster, races))
    check(cluster)
    assert sum(isinstance(event, NodeLaunched) for event in cluster.reported) > len(races) // 3


def test_two_kills_of_the_same_nodes_do_not_deadlock(supervisor: Supervisor, tmp_path: Path) -> None:
    """Each kill takes the locks of all its nodes; one of the two hits, and the other finds them down."""
    cluster = Cluster(supervisor, tmp_path, target=IdleTarget())

    async def scenario() -> list[list[str]]:
        await asyncio.gather(*(cluster.start(node) for node in ("n1", "n2", "n3")))
        slow = [cluster.slow_sync(node, (1, 2)) for node in ("n3", "n1")]
        kills = [cluster.kill(["n1", "n2", "n3"]), cluster.kill(["n3", "n2", "n1"])]
        done = asyncio.gather(*slow, *kills)
        return list((await asyncio.wait_for(done, 30))[2:])

    assert asyncio.run(scenario()) == [["n1", "n2", "n3"], []]
    check(cluster)


def test_a_pause_right_after_a_resume_takes_effect(supervisor: Supervisor, tmp_path: Path) -> None:
    """The resume waits for what is under way; the pause comes after it, although the node is still paused when it is
    asked for."""
    cluster = Cluster(supervisor, tmp_path, target=IdleTarget())

    async def scenario() -> None:
        await cluster.start("n1")
        await cluster.pause("n1")
        async with cluster._nodes["n1"].lock:  # as long as something else is under way
            both = asyncio.gather(cluster.resume("n1"), cluster.pause("n1"))
            await asyncio.sleep(0)
        await both
        assert cluster.state("n1") == process_state(cluster.child("n1")) == "paused"
        await cluster.kill(["n1"])

    asyncio.run(scenario())
    check(cluster)
