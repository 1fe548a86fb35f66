"""The bounds of a run: a cluster that sends without end, or never lets the time advance, ends as unknown."""

from __future__ import annotations

import signal

from builders.runs import of
from builders.schedules import fault, short
from raft_chaos.chaos.faults.network import Network
from raft_chaos.chaos.judgement.vacuity import COMPLETED
from raft_chaos.chaos.mutants import parts_of
from raft_chaos.chaos.run.bounds import LEAST, Bounds, bounds_of
from raft_chaos.chaos.run.nodes.memory_driver import MemoryDriver
from raft_chaos.chaos.run.sim.run import Simulated, VirtualRun
from raft_chaos.invariants.events import RunEnded
from raft_chaos.raft.core import Core
from raft_chaos.raft.server.parts import Parts
from raft_chaos.raft.state.timing import Timing

TIMING = Timing(150_000, 300_000, 50_000)
PLAN = short(
    fault(
        "f1", 400_000, Network(["n1", "n2", "n3"], duplicate=0.5, delay_min_us=10_000, delay_max_us=20_000), 2_000_000
    ),
    safety_us=(320_000, 3_000_000),
    every_us=10_000,
)
"""The network repeats half of all messages for two seconds."""


class Restless(Core):
    """Its timer is always due, and nothing ever comes of it."""

    def tick(self, now_us: int) -> None:
        pass

    @property
    def deadline_us(self) -> int:
        return 0


def carried_out(parts: Parts, max_events: int | None, *, fail_fast: bool = False) -> tuple[Simulated, VirtualRun]:
    run = VirtualRun(PLAN, timing=TIMING, driver=MemoryDriver(parts), fail_fast=fail_fast, max_events=max_events)
    return run.go(), run


def reason(run: VirtualRun) -> str:
    (end,) = of(RunEnded, run.trace.harness_events)
    return end.reason


def test_a_run_that_reports_too_much_ends_as_unknown_and_says_so() -> None:
    simulated, run = carried_out(Parts(), 4_000)
    bound = "its nodes reported 4000 events, which is the bound; --max-events allows more"
    said = f"ended at a bound of the harness: {bound}"
    assert reason(run) == said
    assert simulated.analysis.verdict == "unknown"
    assert simulated.analysis.vacuous[0] == f"the run was cut short: {said}"


def test_a_run_that_ends_at_its_first_violation_has_the_same_bounds() -> None:
    """It is carried out in short slices, each with fewer actions than there are between two looks."""
    _, run = carried_out(Parts(), 4_000, fail_fast=True)
    assert reason(run).startswith("ended at a bound of the harness: ")


def test_the_same_run_ends_at_the_same_event() -> None:
    (one, _), (other, _) = carried_out(Parts(), 4_000), carried_out(Parts(), 4_000)
    assert one.trace_sha256 == other.trace_sha256


def test_a_run_in_which_the_time_never_advances_ends_too() -> None:
    simulated, run = carried_out(Parts(core=Restless), 4_000)
    assert reason(run).startswith("ended at a bound of the harness: it took 4000 steps")
    assert simulated.analysis.verdict == "unknown"
    assert run.scheduler.now_us == 0


def test_what_is_under_way_has_a_bound_of_its_own() -> None:
    bounds = Bounds(events=10, waiting=100)
    assert not bounds.met(events=9, steps=9, waiting=99)
    said = "100 frames, timers and writes were under way at once, which is the bound"
    assert bounds.met(waiting=100) == said


def test_a_run_is_far_from_its_bounds() -> None:
    _, run = carried_out(Parts(), None)
    assert reason(run) == COMPLETED
    assert run.tally.events * 20 < bounds_of(PLAN).events
    assert bounds_of(PLAN).events > LEAST
    assert bounds_of(PLAN, 7).events == 7


def test_a_storm_is_convicted_before_its_run_ends_at_a_bound() -> None:
    storm = MemoryDriver(parts_of("retransmission_storm"))
    run = VirtualRun(PLAN, timing=TIMING, driver=storm, max_events=50_000)
    analysis = run.go().analysis
    assert [one.invariant for one in analysis.invariants if one.outcome == "violated"] == ["efficiency"]
    assert analysis.verdict == "violated"
    assert reason(run).startswith("ended at a bound of the harness")


def test_a_signal_ends_a_run_that_would_never_end() -> None:
    """The node's 1,000th step is the moment at which the signal comes."""
    steps = 0

    class Interrupting(Restless):
        def tick(self, now_us: int) -> None:
            nonlocal steps
            steps += 1
            if steps == 1_000:
                run.interrupt(signal.SIGINT)

    run = VirtualRun(PLAN, timing=TIMING, driver=MemoryDriver(Parts(core=Interrupting)))
    assert run.go().analysis.verdict == "unknown"
    assert (reason(run), steps) == ("interrupted by SIGINT", 1_000)
