"""Flipped bits in `sim`: real bytes through the real codec, and what a closed connection takes with it."""

from __future__ import annotations

import msgspec
import pytest

from builders.executions import play
from builders.runs import TIMING, virtual
from builders.schedules import fault, short
from builders.virtual_network import Net
from raft_chaos.chaos.execution.recording import record
from raft_chaos.chaos.execution.steps import Deliver, Execution, ExecutionError
from raft_chaos.chaos.faults.corrupt import Corrupt
from raft_chaos.chaos.faults.links import LinkState
from raft_chaos.chaos.faults.pause import Pause
from raft_chaos.chaos.mutants import MUTANTS
from raft_chaos.chaos.run.nodes.step import StepConfig
from raft_chaos.chaos.run.nodes.stepped_node import SteppedNode
from raft_chaos.chaos.schedule.data import SimModel
from raft_chaos.raft.server.parts import Parts
from raft_chaos.raft.state.messages import RequestVote
from raft_chaos.raft.storage.disk import MemoryDisk

LINK, BACK = ("n1", "n2"), ("n2", "n1")
FIXED = SimModel(latency_min_us=1_000, latency_max_us=1_000)
MUTANT = MUTANTS["frame_checksum_ignored"].parts


def refusing(net: Net) -> None:
    """From now on the receivers refuse every frame with flipped bits."""
    arrived = net.network._deliver

    def deliver(frame: object) -> None:
        arrived(frame)  # type: ignore[arg-type]
        if frame.flips:  # type: ignore[attr-defined]
            net.network.refused(frame)  # type: ignore[arg-type]

    net.network._deliver = deliver


def test_a_frame_is_corrupted_with_the_probability_as_it_arrives() -> None:
    net = Net(FIXED)
    net.send(LINK)  # sent before it
    net.put("f1", LinkState(corrupt=0.3), LINK)
    net.send(LINK, 400, every_us=10)
    net.send(BACK, 5)
    net.go(2_000)
    counters = net.network.counters()[LINK]
    assert counters.forwarded == 401 and 80 < counters.corrupted < 160
    assert sum(bool(frame.flips) for _, frame in net.frames) == counters.corrupted
    assert not any(frame.flips for _, frame in net.frames if frame.sender == "n2")
    net.heal("f1")
    net.send(LINK, 50)
    net.go(2_000)
    assert net.network.counters()[LINK].corrupted == counters.corrupted


def test_a_refusal_loses_what_is_in_flight_on_that_link_and_nothing_else() -> None:
    net = Net(FIXED)
    net.put("f1", LinkState(corrupt=1.0), LINK)
    refusing(net)
    net.send(LINK, 3, every_us=100)  # the first one is refused while the others are in flight
    net.send(BACK, 2)
    net.go(750)
    net.heal("f1")
    net.send(LINK, 2)  # on the next connection
    net.go(2_000)
    assert net.numbers(LINK) == [1, 6, 7] and net.numbers(BACK) == [4, 5]
    counters = net.network.counters()[LINK]
    assert (counters.corrupted, counters.refused, counters.lost) == (1, 1, 2)


def test_frames_behind_a_clog_are_lost_with_their_connection() -> None:
    net = Net(FIXED)
    net.put("f1", LinkState(corrupt=1.0), LINK)
    refusing(net)
    net.clog("f2", LINK)
    net.send(LINK, 3, every_us=10)
    net.go(2_000)
    net.heal("f2")
    net.go(1)
    assert net.numbers(LINK) == [1]
    assert net.network.counters()[LINK].lost == 2


def node(parts: Parts) -> SteppedNode:
    return SteppedNode(StepConfig.of("n2", ["n1", "n2", "n3"], 1, seed=1, timing=TIMING), parts, MemoryDisk(), 0)


@pytest.mark.parametrize("flip", [place / 100 for place in range(100)])
def test_a_node_refuses_the_frame_and_stays_as_it_was(flip: float) -> None:
    right = node(Parts())
    assert right.receive_corrupted("n1", 1, 7, RequestVote(9, 0, 0), [flip], 1_000, None) is None
    assert right.replica.core.current_term == 0


def test_the_mutant_takes_what_can_still_be_decoded() -> None:
    taken = [node(MUTANT) for _ in range(300)]
    for place, one in enumerate(taken):
        one.receive_corrupted("n1", 1, 7, RequestVote(9, 0, 0), [place / 300], 1_000, None)
    terms = {one.replica.core.current_term for one in taken}
    assert len(terms - {0, 9}) > 2, "it believes terms that nobody has sent"


HURT = (fault("f1", 400_000, Corrupt(["n3"], 0.3), 300_000), fault("f2", 500_000, Pause(["n3"]), 100_000))


def test_a_right_cluster_stays_right_and_refuses_every_frame() -> None:
    run = virtual(short(*HURT))
    simulated = run.go()
    assert not [one for one in simulated.analysis.invariants if one.outcome == "violated"]
    counters = run.cluster.network.counters()
    corrupted, refused = (sum(getattr(one, field) for one in counters.values()) for field in ("corrupted", "refused"))
    assert corrupted >= refused > 5, "behind a refused frame another corrupted one may be lost"
    assert simulated.trace_sha256 == virtual(short(*HURT)).go().trace_sha256


def test_what_the_mutant_takes_is_in_its_execution_and_plays_back() -> None:
    plan = short(*HURT, seed=7)
    simulated, execution = record(plan, TIMING, MUTANT)
    assert any(isinstance(step, Deliver) and step.flips for step in execution.steps)
    saved = msgspec.json.decode(msgspec.json.encode(execution), type=Execution)
    played = play(saved, "frame_checksum_ignored")
    assert played.done == list(range(len(execution.steps)))
    violated = {one.invariant for one in simulated.analysis.invariants if one.outcome == "violated"}
    assert "log_matching" in violated & {one.invariant for one in played.verdicts if one.outcome == "violated"}


def test_the_right_core_refuses_what_the_mutant_took() -> None:
    _, execution = record(short(*HURT), TIMING, MUTANT)
    with pytest.raises(ExecutionError, match=r"\(deliver\): n. refuses the frame, whose bits have flipped"):
        play(execution)
