"""The follower: a run of another process, read from its files while they grow."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import report_builders as sample
from raft_chaos.chaos.run.live.follow import ENDED, MOST_OPS, Follower
from raft_chaos.invariants import events, history
from raft_chaos.invariants.events import HARNESS, AnyEvent, FaultInjected, NodeExited, NodePaused
from raft_chaos.invariants.rundir import RunDir, RunInfo


@pytest.fixture
def info() -> RunInfo:
    return sample.info(state="running", verdict=None, invariants=[])


@pytest.fixture
def run(tmp_path: Path, info: RunInfo) -> RunDir:
    return sample.five_nodes(tmp_path / "run", info)


def append(file: Path, *lines: AnyEvent) -> None:
    with file.open("ab") as opened:
        opened.write(b"".join(map(events.encode, lines)))


def followed(run: RunDir, info: RunInfo) -> Follower:
    follower = Follower(run, info)
    while follower.read():
        pass
    return follower


def test_it_reads_each_byte_once_and_keeps_half_a_line_back(run: RunDir, info: RunInfo) -> None:
    follower = followed(run, info)
    before = follower.status()
    assert before.phase == ENDED and before.ops["ok"] > 0 and not follower.read()
    line = events.encode(sample.role("n2", 1, 30_000_000, "leader", 9, "n2"))
    file = run.node_events("n2", 1)
    with file.open("ab") as opened:
        opened.write(line[:20])
    assert not follower.read() and follower.status() == before
    with file.open("ab") as opened:
        opened.write(line[20:])
    assert follower.read()
    after = follower.status()
    assert after.events == before.events + 1
    assert [(node.role, node.term) for node in after.nodes if node.name == "n2"] == [("leader", 9)]
    follower.close()


def test_it_knows_who_is_up_and_which_faults_are_in_force(run: RunDir, info: RunInfo) -> None:
    follower = followed(run, info)
    states = {node.name: (node.state, node.incarnation) for node in follower.status().nodes}
    assert states["n1"] == ("up", 2) and states["n5"] == ("up", 1) and follower.status().faults == []
    at = {"node": HARNESS, "inc": 1, "t_us": 30_000_000}
    append(
        run.harness,
        FaultInjected(**at, fault="f9", type="pause", targets=("n5",), detail="n5 stands still"),
        NodePaused(**at, subject="n5", subject_inc=1),
        NodeExited(**at, subject="n1", subject_inc=1, exit_code=1),
        NodeExited(**at, subject="n2", subject_inc=1, exit_code=1),
    )
    follower.read()
    now = follower.status()
    states = {node.name: (node.state, node.incarnation) for node in now.nodes}
    assert states["n5"] == ("paused", 1) and states["n2"] == ("exited", 1) and now.faults == ["n5 stands still"]
    assert states["n1"] == ("up", 2), "an earlier incarnation ended"
    assert [node.role for node in now.nodes if node.name == "n2"] == [""]
    follower.close()


def test_it_judges(run: RunDir, info: RunInfo) -> None:
    append(run.node_events("n3", 1), sample.role("n3", 1, 30_000_000, "leader", 40, "n3"))
    append(run.node_events("n4", 1), sample.role("n4", 1, 30_000_001, "leader", 40, "n4"))
    follower = followed(run, info)
    assert "election_safety" in {violation.invariant for violation in follower.status().violations}
    follower.close()


def test_it_keeps_a_bounded_part_for_the_picture(run: RunDir, info: RunInfo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("raft_chaos.chaos.run.live.follow.MOST_OPS", 10)
    append(run.node_events("n2", 1), *(sample.commit("n2", 1, 30_000_000 + n, n, 9) for n in range(500)))
    follower = followed(run, info)
    assert len(follower.seen.ops) <= 10 < MOST_OPS and follower.seen.forgotten > 0
    assert len(follower.seen.streams["n2"]) < 50, "one commit index for each tenth of a second"
    follower.close()


def test_it_follows_no_link_and_stops_at_what_is_no_run(run: RunDir, info: RunInfo, tmp_path: Path) -> None:
    linked = run.node_events("n2", 2)
    linked.symlink_to(run.node_events("n2", 1))
    assert "symbolic links" in followed(run, info).trouble
    linked.unlink()
    os.mkfifo(linked)
    assert "expected a regular file" in followed(run, info).trouble
    linked.unlink()
    append(run.node_events("n2", 1), sample.role("n3", 1, 30_000_000, "leader", 9, "n2"))
    assert "an event of n3 in a file of n2" in followed(run, info).trouble
    run.history.write_bytes(b"[]\n")
    assert followed(run, info).trouble


def test_it_never_leaves_the_directory(run: RunDir) -> None:
    follower = Follower(run, sample.info(nodes=["n1", "../../elsewhere"]))
    assert not follower.read() and "elsewhere" in follower.trouble


def test_its_history_is_that_of_the_clients(run: RunDir, info: RunInfo) -> None:
    follower = followed(run, info)
    lines = [history.decode(line) for line in run.history.read_bytes().splitlines()]
    assert follower.seen.ops == lines and follower.status().ops["invoke"] == sum(op.type == "invoke" for op in lines)
    follower.close()
