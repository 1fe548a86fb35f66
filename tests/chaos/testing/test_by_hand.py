"""A cluster by hand, in each world."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from raft_chaos.api import ByHandError, Cluster, HarnessError, OptionError, ViolatedError, cluster
from raft_chaos.chaos.run.world import World
from raft_chaos.invariants.events import FaultHealed, FaultInjected, NodeLaunched, SnapshotTaken
from raft_chaos.invariants.rundir import RunDir


def breaks_and_heals(nodes: Cluster) -> list[object]:
    """A little of everything; returns what a client saw."""
    seen: list[object] = [nodes.put("x", "1").type]
    first = nodes.leader()
    nodes.isolate("leader")
    second = nodes.leader()
    assert second != first
    nodes.kill(first)
    seen += [nodes.cas("x", "1", "2").type, nodes.cas("x", "1", "3").type]
    nodes.heal()
    nodes.pause(nodes.leader(), seconds=0.1)
    nodes.wait(0.3)
    return [*seen, nodes.get("x").value]


SEEN = ["ok", "ok", "fail", "2"]


def launches(path: Path) -> int:
    return sum(isinstance(event, NodeLaunched) for event in RunDir(path).harness_events())


def test_in_sim(tmp_path: Path) -> None:
    with cluster(world="sim", seed=7, out=tmp_path) as nodes:
        assert breaks_and_heals(nodes) == SEEN
        assert nodes.world == "sim" and nodes.seed == 7 and nodes.address("n1") == "n1"
    info = nodes.close()
    assert info.state == "finished" and not any(verdict.outcome == "violated" for verdict in info.invariants)
    events = RunDir(nodes.path).harness_events()
    assert [event.type for event in events if isinstance(event, FaultInjected)] == ["partition", "kill", "pause"]
    assert [event.effective for event in events if isinstance(event, FaultHealed)] == [True, True, True]


def test_the_same_seed_gives_the_same_trace(tmp_path: Path) -> None:
    digests = set()
    for _ in range(2):
        with cluster(world="sim", seed=3, nodes=5, out=tmp_path) as nodes:
            breaks_and_heals(nodes)
        digests.add(nodes.close().trace_sha256)
    assert len(digests) == 1


def test_a_violation_is_raised_after_the_block_unless_the_block_raises(tmp_path: Path) -> None:
    def provoke(nodes: Cluster) -> None:
        nodes.leader()
        nodes.kill(*nodes.nodes)
        nodes.heal()

    with (
        pytest.raises(ViolatedError, match="one_vote_per_term"),
        cluster(world="sim", mutant="vote_not_persisted", out=tmp_path) as nodes,
    ):
        provoke(nodes)
    with (
        pytest.raises(ZeroDivisionError),
        cluster(world="sim", mutant="vote_not_persisted", out=tmp_path) as nodes,
    ):
        provoke(nodes)
        _ = 1 / 0
    assert nodes.close().verdict == "violated"


def test_without_a_majority_nothing_is_acknowledged_and_nobody_leads(tmp_path: Path) -> None:
    with cluster(world="sim", out=tmp_path) as nodes:
        nodes.leader()
        nodes.partition(["n1"], ["n2"], ["n3"])
        assert nodes.put("x", "1").type == "info"
        nodes.kill("n1", "n2")
        nodes.pause("n3")
        with pytest.raises(ByHandError, match="no node leads within 1 s"):
            nodes.leader(within=1)
        with pytest.raises(ByHandError, match="the condition does not hold within 0"):
            nodes.until(lambda: False, within=0.1)
        nodes.heal()
        nodes.leader()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda nodes: nodes.fault("kil"), "there is no 'kil'"),
        (lambda nodes: nodes.fault("pause", node=["n1"]), "fault pause: .*`node`"),
        (lambda nodes: nodes.kill("n9"), "fault kill: .*n9"),
        (lambda nodes: nodes.kill(), "expected the names of nodes"),
    ],
)
def test_wrong_requests(wrong: object, said: str, tmp_path: Path) -> None:
    with cluster(world="sim", out=tmp_path) as nodes, pytest.raises(ValueError, match=said):
        assert callable(wrong)
        wrong(nodes)


def test_a_schedule_option_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="rate: a cluster by hand"), cluster(world="sim", rate=3, out=tmp_path):
        pass


def test_a_failure_of_the_harness_is_raised_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise HarnessError("no space")

    monkeypatch.setattr("raft_chaos.chaos.testing.by_hand.virtual.finish", broken)
    opened: list[Cluster] = []
    with pytest.raises(HarnessError, match="no space"), cluster(world="sim", out=tmp_path) as nodes:
        opened.append(nodes)
    with pytest.raises(HarnessError, match="no space"):
        opened[0].close()


@pytest.mark.slow
@pytest.mark.live
@pytest.mark.parametrize("world", ["lockstep", "live"])
def test_with_real_processes(world: World, tmp_path: Path) -> None:
    timeouts = (150, 300) if world == "lockstep" else (1000, 2000)
    with cluster(world=world, seed=7, election_timeout=timeouts, out=tmp_path) as nodes:
        assert breaks_and_heals(nodes) == SEEN
        nodes.partition(["n1"])
        nodes.kill("n2")  # the end heals both
    assert launches(nodes.path) >= 5
    assert nodes.close().state == "finished"


@pytest.mark.parametrize("world", ["sim", pytest.param("live", marks=[pytest.mark.slow, pytest.mark.live])])
@pytest.mark.parametrize("features", [None, ["check_quorum", "snapshot_every=3"]])
def test_its_nodes_have_the_features_that_the_caller_says(
    world: World, features: list[str] | None, tmp_path: Path
) -> None:
    said: Any = {} if features is None else {"features": features}
    with cluster(world=world, seed=3, out=tmp_path, **said) as nodes:
        for number in range(6):
            assert nodes.put("x", str(number)).type == "ok"
    events = [event for stream in RunDir(nodes.path).node_streams() for event in stream]
    assert any(isinstance(event, SnapshotTaken) for event in events) is (features is not None)
