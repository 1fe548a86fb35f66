"""The nodes of a live run, each a real server: the reported events are what really happened."""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from live_nodes import SERVER, Cluster

from builders.waiting import eventually
from raft_chaos.chaos.processes.shortage import HarnessError, oom_kills
from raft_chaos.chaos.processes.supervisor import Supervisor
from raft_chaos.chaos.run.live.disk.disk import missing
from raft_chaos.chaos.targets.command import CommandTarget
from raft_chaos.chaos.targets.protocol import Launch, Running
from raft_chaos.chaos.targets.raft import RaftTarget
from raft_chaos.invariants.events import NodeExited, NodeKilled, NodeLaunched, NodePaused, NodeResumed
from raft_chaos.raft.state.timing import Timing
from raft_chaos.raft.storage.failing import Failing

pytestmark = pytest.mark.live


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    with Supervisor() as supervisor:
        yield Cluster(supervisor, tmp_path)


def test_a_node_goes_through_its_states_and_each_is_reported(cluster: Cluster) -> None:
    async def scenario() -> None:
        assert (cluster.state("n1"), cluster.url("n1")) == ("down", None)
        assert await cluster.start("n1") and cluster.state("n1") == "up"
        await cluster.pause("n1")
        assert cluster.state("n1") == "paused"
        await cluster.pause("n1")  # which is nothing
        await cluster.resume("n1")
        assert cluster.state("n1") == "up"
        assert await cluster.kill(["n1", "n2"]) == ["n1"]
        assert cluster.state("n1") == "down"
        assert await cluster.start("n1")

    asyncio.run(scenario())
    assert cluster.kinds() == [NodeLaunched, NodePaused, NodeResumed, NodeKilled, NodeLaunched]
    assert [getattr(event, "subject_inc", None) for event in cluster.reported] == [1, 1, 1, 1, 2]


def test_an_exited_node_is_not_reported_as_killed_and_not_restarted(cluster: Cluster) -> None:
    async def scenario() -> None:
        await cluster.start("n1")
        child = cluster.child("n1")
        assert child is not None
        os.kill(child.pid, signal.SIGKILL)  # by somebody else
        eventually("n1 has ended", lambda: not child.is_alive)
        assert await cluster.kill(["n1"]) == []
        assert cluster.state("n1") == "exited"
        assert not await cluster.start("n1")

    asyncio.run(scenario())
    assert cluster.kinds() == [NodeLaunched, NodeExited]
    exited = cluster.reported[-1]
    assert isinstance(exited, NodeExited) and exited.exit_code == -signal.SIGKILL


def test_slow_syncs_that_end_during_a_pause_have_ended_on_resume(tmp_path: Path) -> None:
    def written(url: str) -> bool:
        request = urllib.request.Request(f"{url}/executeCommand", b'{"command": "put x 1"}')
        try:
            with urllib.request.urlopen(request, timeout=10.0):
                return True
        except urllib.error.HTTPError as error:
            assert error.code == 503  # it has not elected itself yet
            return False

    async def scenario(cluster: Cluster) -> int:
        await cluster.start("n1")
        await cluster.slow_sync("n1", (30_000, 30_000))
        await cluster.pause("n1")
        await cluster.slow_sync("n1", (0, 0))
        await cluster.resume("n1")
        await asyncio.to_thread(eventually, "n1 has written", lambda: written(cluster.url("n1") or ""))
        return await cluster.slowed_syncs("n1")

    (tmp_path / "nodes" / "n1").mkdir(parents=True)
    with Supervisor() as supervisor:
        cluster = Cluster(supervisor, tmp_path, 1, RaftTarget(Timing(150_000, 300_000, 50_000)))
        assert asyncio.run(scenario(cluster)) == 0


@pytest.mark.parametrize("once", [True, False])
def test_a_disk_that_fails_once_has_failed_also_for_the_next_start(tmp_path: Path, once: bool) -> None:
    async def scenario(cluster: Cluster) -> list[bool]:
        await cluster.start("n1")
        await cluster.kill(["n1"])
        await cluster.break_disk("n1", Failing("read", "EIO", once))
        return [await cluster.start("n1"), await cluster.start("n1")]

    (tmp_path / "nodes" / "n1").mkdir(parents=True)
    with Supervisor() as supervisor:
        cluster = Cluster(supervisor, tmp_path, 1, RaftTarget(Timing(150_000, 300_000, 50_000)))
        cluster.began()
        assert asyncio.run(scenario(cluster)) == [False, once]


def test_a_node_that_the_system_killed_for_want_of_memory_is_not_to_blame(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        await cluster.start("n1")
        child = cluster.child("n1")
        assert child is not None
        os.kill(child.pid, signal.SIGKILL)
        eventually("n1 has ended", lambda: not child.is_alive)
        monkeypatch.setattr("raft_chaos.chaos.run.live.cluster.exits.oom_kills", lambda: oom_kills() + 1)
        with pytest.raises(HarnessError, match="this machine ran out of memory, and its system killed n1"):
            cluster.find_exits()

    asyncio.run(scenario())
    assert cluster.kinds() == [NodeLaunched, NodeExited], "what happened is evidence all the same"


def test_a_node_whose_disk_ends_while_it_starts_is_not_to_blame(tmp_path: Path) -> None:
    if (why := missing()) is not None:
        pytest.skip(why)

    class Unlucky(CommandTarget):
        def start(self, supervisor: Supervisor, launch: Launch) -> Running:
            disk = supervisor.child("disk of n1")
            assert disk is not None
            disk.strike()
            eventually("the disk is gone", lambda: not disk.is_alive)
            return super().start(supervisor, launch)

    async def scenario() -> None:
        cluster.began()
        with pytest.raises(HarnessError, match="the disk of n1 is gone"):
            await cluster.start("n1")
        cluster.close()

    with Supervisor() as supervisor:
        command = shlex.join([*SERVER, "--mode", "memory", "--data", "{data}"])
        cluster = Cluster(supervisor, tmp_path, 1, Unlucky(command, disk="lossy"))
        asyncio.run(scenario())
    assert cluster.reported == []
    assert not (tmp_path / "nodes" / "n1" / "removed").exists()


def test_the_network_hears_of_an_end_before_it_comes(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise the end of a process looks as if the node refused what came last."""
    heard: list[tuple[str, bool]] = []

    def leaving(node: str) -> None:
        child = cluster._supervisor.child(node)
        heard.append((node, child is not None and child.is_alive))

    monkeypatch.setattr(cluster.network, "leaving", leaving)

    async def scenario() -> None:
        await cluster.start("n1")
        assert await cluster.kill(["n1", "n2"]) == ["n1"]
        assert await cluster.start_and_kill("n1", 0) == "in its start"
        await cluster.start("n1")
        assert await cluster.stop("n1") is not None

    asyncio.run(scenario())
    assert heard == [("n1", True)] * 3
