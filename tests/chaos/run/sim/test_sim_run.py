"""One run in virtual time: its phases, its exact bound, and that judging it in memory and from disk is the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from builders.runs import in_sim, of, recorded_run, virtual
from builders.schedules import LIVENESS_US, LONGEST_US, NODES, SAFETY_US, TIMING, TWO_LEADERS, fault, schedule, short
from builders.storms import stormy
from raft_chaos.chaos.faults.clock import Clock
from raft_chaos.chaos.faults.partition import Partition
from raft_chaos.chaos.faults.pause import Pause
from raft_chaos.chaos.faults.process import Kill
from raft_chaos.chaos.judgement.analysis import analyse
from raft_chaos.chaos.judgement.vacuity import COMPLETED
from raft_chaos.chaos.mutants import parts_of
from raft_chaos.chaos.run.nodes.memory_driver import MemoryDriver
from raft_chaos.chaos.run.nodes.step import StepConfig
from raft_chaos.chaos.run.nodes.stepped_node import SteppedNode
from raft_chaos.chaos.run.sim.run import RECOVERY_TIMEOUTS, WATCH_US, VirtualRun
from raft_chaos.chaos.schedule.data import Schedule
from raft_chaos.invariants.events import PhaseStarted, RunEnded
from raft_chaos.invariants.trace import trace_sha256
from raft_chaos.invariants.verdict import Verdict
from raft_chaos.raft.core import Core
from raft_chaos.raft.server.parts import Parts
from raft_chaos.raft.state.timing import Timing

FROM_US, UNTIL_US = SAFETY_US
BOUND_US = RECOVERY_TIMEOUTS * LONGEST_US


class Deaf(Core):
    """Commits nothing after the end of the safety phase."""

    def _may_commit(self, index: int) -> bool:
        return self.now_us < UNTIL_US and super()._may_commit(index)


class LateRiser(Core):
    """The same, but only for a while."""

    def _may_commit(self, index: int) -> bool:
        return not UNTIL_US <= self.now_us < UNTIL_US + BOUND_US // 2 and super()._may_commit(index)


class NeverApplies(Core):
    """A second incarnation learns no commit, so it never catches up."""

    def _follow_commit(self, leader_commit: int, last_new_index: int) -> None:
        if self.incarnation == 1:
            super()._follow_commit(leader_commit, last_new_index)

    def _start_election(self) -> None:
        if self.incarnation == 1:
            super()._start_election()
        else:
            self._reset_election_timer()


class Remembers(Core):
    """Votes again and again: the voter forgets whom it has voted for."""

    def _may_vote_for(self, candidate: str) -> bool:
        return True

    def _grant_vote(self, candidate: str) -> None:
        self.voted_for = None
        super()._grant_vote(candidate)


def ran(plan: Schedule, parts: Parts | None = None, *, fail_fast: bool = False) -> tuple[VirtualRun, Verdict]:
    """The run, and its verdict on recovery."""
    run = virtual(plan, parts, fail_fast=fail_fast)
    analysis = run.go().analysis
    return run, next(verdict for verdict in analysis.invariants if verdict.invariant == "recovery")


def phases(run: VirtualRun) -> dict[str, PhaseStarted]:
    return {event.phase: event for event in of(PhaseStarted, run.trace.harness_events)}


def ended(run: VirtualRun) -> RunEnded:
    (event,) = of(RunEnded, run.trace.harness_events)
    return event


def first_violated(run: VirtualRun) -> str:
    """The invariant that ended the run."""
    start = "ended at the first violation, of "
    reason = ended(run).reason
    assert reason.startswith(start)
    return reason.removeprefix(start)


# ---- the phases --------------------------------------------------------------------------------------------------


def test_a_run_goes_through_its_phases() -> None:
    run, recovery = ran(short(*TWO_LEADERS))
    begun = phases(run)
    assert [(name, event.t_us) for name, event in begun.items()][:3] == [
        ("warmup", 0),
        ("safety", FROM_US),
        ("liveness", UNTIL_US),
    ]
    assert list(begun)[3:] == ["services", "settled"]
    settled = begun["settled"]
    assert settled.owed == ("n1", "n2", "n3") and settled.commit_target > begun["liveness"].commit_target
    assert settled.within_us == BOUND_US
    liveness = begun["liveness"]
    assert (
        liveness.owed == tuple(run.nemesis.log.touched) and set(liveness.owed) <= {"n1", "n2", "n3"} and liveness.owed
    )
    assert liveness.commit_target > 10
    assert (liveness.within_us, begun["safety"].within_us) == (BOUND_US, 0)
    assert ended(run).reason == COMPLETED
    assert recovery.outcome == "valid"


def test_a_run_is_valid_and_reports_its_numbers() -> None:
    simulated = in_sim(short(*TWO_LEADERS))
    analysis = simulated.analysis
    assert (analysis.verdict, analysis.vacuous) == ("valid", [])
    assert {verdict.outcome for verdict in analysis.invariants} == {"valid"}
    stats: dict[str, Any] = analysis.stats
    assert stats["faults_effective"] == stats["faults"] == 2 and stats["restarts"] == 1
    assert 100 < stats["messages_received"] <= stats["deliveries"] <= stats["messages_sent"]
    # What was sent and not received was lost to the cut and to the dead, or was on its way when the run ended.
    assert 0 <= stats["messages_sent"] - stats["messages_received"] - stats["frames_lost"] < 10
    assert stats["ops"] == stats["ops_ok"] + stats["ops_fail"] + stats["ops_info"]
    assert UNTIL_US / 1e6 < stats["simulated_s"] < 2


def test_the_judge_observes_all_events_and_operations() -> None:
    analysis = in_sim(short(*TWO_LEADERS)).analysis
    assert all(verdict.judged > 0 for verdict in analysis.invariants), analysis.invariants


def test_every_key_is_read_at_the_end() -> None:
    plan = short()
    run, _ = ran(plan)
    final = [op for op in run.trace.operations if op.final and op.type == "ok"]
    assert [op.key for op in final] == sorted({operation.key for operation in plan.operations})
    last = max(op.t_us for op in run.trace.operations if not op.final)
    assert all(op.t_us > last for op in final)


def test_no_operation_begins_after_its_phase() -> None:
    run, _ = ran(short())
    asked = [op for op in run.trace.operations if op.type == "invoke" and op.client != "final"]
    assert len(asked) == len(run.schedule.operations)
    assert max(op.t_us for op in asked) <= UNTIL_US + LIVENESS_US


# ---- liveness: an exact time -------------------------------------------------------------------------------------


@pytest.mark.parametrize("liveness_us", [0, LIVENESS_US, 2 * BOUND_US])
@pytest.mark.parametrize("core", [Deaf, parts_of("commit_loop_break").core])
def test_a_cluster_that_never_commits_again_is_violated_at_the_very_end_of_its_time(
    core: type[Core], liveness_us: int
) -> None:
    """commit_loop_break stops at the first entry that an earlier leader left uncommitted."""
    stop = fault("f0", 390_000, Partition("one", {"leader": ["others"]}), 100_000)
    run, recovery = ran(short(stop, *TWO_LEADERS, liveness_us=liveness_us), Parts(core=core))
    assert recovery.outcome == "violated"
    assert ended(run).t_us == UNTIL_US + BOUND_US
    assert ended(run).reason == COMPLETED
    assert "nothing was committed beyond index" in recovery.violations[0].message
    assert not [op for op in run.trace.operations if op.final]


def test_a_cluster_that_recovers_in_time_is_valid_and_ends_before() -> None:
    run, recovery = ran(short(*TWO_LEADERS), Parts(core=LateRiser))
    assert recovery.outcome == "valid"
    assert UNTIL_US + BOUND_US // 2 < ended(run).t_us < UNTIL_US + BOUND_US // 2 + BOUND_US // 4


def test_a_node_that_never_catches_up_is_violated_at_the_very_end_of_its_time() -> None:
    plan = short(fault("f1", 400_000, Kill(["n1"], [10_000]), 10_000))
    run, recovery = ran(plan, Parts(core=NeverApplies))
    assert phases(run)["liveness"].owed == ("n1",)
    assert recovery.outcome == "violated" and "n1 did not catch up" in recovery.violations[0].message
    assert ended(run).t_us == UNTIL_US + BOUND_US


def test_the_run_submits_operations_itself_if_there_are_none() -> None:
    run, recovery = ran(short(every_us=0))
    assert recovery.outcome == "valid"
    assert [op.op for op in run.trace.operations if op.type == "invoke"] == ["probe/0"]
    assert ended(run).t_us < UNTIL_US + 5 * LONGEST_US


def test_the_run_ends_when_recovery_is_complete_and_all_clients_are_done() -> None:
    run, _ = ran(short())
    last_planned_us = max(operation.at_us for operation in run.schedule.operations)
    assert last_planned_us < ended(run).t_us < UNTIL_US + LIVENESS_US + 10 * WATCH_US


def test_clocks_do_not_change_the_bound() -> None:
    """The bound is in the run's time: a cluster whose clocks have jumped by a minute has the same bound."""
    jump = fault("f0", 400_000, Clock(["n1", "n2", "n3"], 400_000, 60_000_000), 100_000)
    run, recovery = ran(short(jump, *TWO_LEADERS))
    assert recovery.outcome == "valid"
    assert phases(run)["liveness"].within_us == BOUND_US
    run, recovery = ran(short(jump, *TWO_LEADERS), Parts(core=parts_of("commit_loop_break").core))
    if recovery.outcome == "violated":
        assert ended(run).t_us == UNTIL_US + BOUND_US


def test_clocks_that_went_back_together_hold_nobody_up_afterwards() -> None:
    """All election timers run, nobody leads, and two faults take all clocks back, each by as much as it lasts."""
    back = Clock(NODES, 0, -2 * BOUND_US)
    faults = [fault("f1", 400_000, Kill(["leader"], [10_000]), 10_000)]
    faults += [fault(name, at_us, back, 2 * BOUND_US) for name, at_us in (("f2", 415_000), ("f3", 415_001))]
    plan = schedule(faults, safety_us=(FROM_US, 500_000 + 2 * BOUND_US), liveness_us=LIVENESS_US, every_us=200_000)
    _, recovery = ran(plan)
    assert recovery.outcome == "valid"


# ---- the first violation -----------------------------------------------------------------------------------------


def test_fail_fast_ends_a_run_at_the_first_violation() -> None:
    plan = short(*TWO_LEADERS)
    whole, _ = ran(plan, Parts(core=Remembers))
    fast, _ = ran(plan, Parts(core=Remembers), fail_fast=True)
    assert ended(whole).reason == COMPLETED
    assert first_violated(fast) in {v.invariant for v in whole.judge.verdicts() if v.outcome == "violated"}
    assert ended(fast).t_us < ended(whole).t_us
    violated = [verdict for verdict in fast.judge.verdicts() if verdict.outcome == "violated"]
    assert violated
    assert fast.trace.harness_events[:-1] == whole.trace.harness_events[: len(fast.trace.harness_events) - 1]


def test_fail_fast_does_not_change_a_run_without_a_violation() -> None:
    plan = short(*TWO_LEADERS)
    assert virtual(plan, fail_fast=True).go().trace_sha256 == virtual(plan).go().trace_sha256


# ---- in memory and from disk -------------------------------------------------------------------------------------


@pytest.mark.parametrize("mutant", [None, "vote_not_persisted", "commit_loop_break"])
@pytest.mark.parametrize("seed", [1, 2])
def test_a_run_is_judged_the_same_in_memory_and_from_disk(mutant: str | None, seed: int, tmp_path: Path) -> None:
    run = recorded_run(stormy(seed), tmp_path, mutant)
    simulated = in_sim(stormy(seed), mutant)
    info, saved, now = run.load_info(), analyse(run), simulated.analysis
    assert (info.verdict, info.vacuous, info.state) == (now.verdict, now.vacuous, "finished")
    assert (saved.verdict, saved.vacuous) == (now.verdict, now.vacuous)
    assert saved.invariants == now.invariants
    assert msgspec.json.encode(info.invariants) == msgspec.json.encode(now.invariants)
    assert {**now.stats, "wall_s": 0} == {**info.stats, "wall_s": 0}
    assert saved.stats == {name: value for name, value in now.stats.items() if name in saved.stats}
    assert len(saved.stats) >= 15
    assert trace_sha256(run) == simulated.trace_sha256 == info.trace_sha256


class Noting(MemoryDriver):
    """Notes the timings with which nodes are started."""

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts)
        self.timings: set[Timing] = set()

    def start(self, config: StepConfig, now_us: int) -> SteppedNode:
        self.timings.add(config.timing)
        return super().start(config, now_us)


def test_the_model_may_set_the_number_of_entries_per_message() -> None:
    plan = short(*TWO_LEADERS)
    model = replace(plan.header.model, entries_per_message=1)
    small = Schedule(replace(plan.header, model=model), plan.faults, plan.operations)
    driver = Noting(Parts())
    run = VirtualRun(small, timing=TIMING, driver=driver)
    assert run.go().analysis.verdict == "valid"
    assert driver.timings == {replace(TIMING, max_entries_per_message=1)}
    driver = Noting(Parts())
    VirtualRun(plan, timing=TIMING, driver=driver).go()
    assert driver.timings == {TIMING}


def test_a_node_paused_past_the_end_must_catch_up() -> None:
    run, recovery = ran(short(fault("f9", 500_000, Pause(["n2"]), UNTIL_US), *TWO_LEADERS[:1]))
    assert "n2" in phases(run)["liveness"].owed
    assert recovery.outcome == "valid"
