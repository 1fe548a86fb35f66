"""Shrunk schedules cause the same violation, are minimal, and can be run like any other schedule."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from builders.commands import Command
from builders.executions import recorded
from builders.reproductions import STUCK, VOTE, made
from builders.schedules import TIMING, fault, short
from builders.storms import stormy
from raft_chaos.chaos.faults.catalogue import FAULT_KINDS
from raft_chaos.chaos.faults.membership import Membership
from raft_chaos.chaos.faults.pause import Pause
from raft_chaos.chaos.faults.process import Kill
from raft_chaos.chaos.mutants import parts_of
from raft_chaos.chaos.reproduction.make import NotReproducedError
from raft_chaos.chaos.reproduction.reproduce import reproduce
from raft_chaos.chaos.run.nodes.memory_driver import MemoryDriver
from raft_chaos.chaos.run.sim import scheduler
from raft_chaos.chaos.run.sim.run import VirtualRun
from raft_chaos.chaos.schedule.check import check_schedule
from raft_chaos.chaos.schedule.config import ScheduleConfig
from raft_chaos.chaos.schedule.data import Fault, Schedule, When
from raft_chaos.chaos.schedule.file import load, save
from raft_chaos.chaos.schedule.generate import generate
from raft_chaos.chaos.shrink.anchors import anchor
from raft_chaos.chaos.shrink.candidates import (
    client_candidates,
    fault_candidates,
    header_candidates,
    live_fault_candidates,
    node_candidates,
    shifted_earlier,
    when_candidates,
    without_features,
)
from raft_chaos.chaos.shrink.schedules import (
    ScheduleCandidate,
    ScheduleShrinker,
    attempt,
    part_that_happened,
    under_seed,
)
from raft_chaos.chaos.shrink.search import BudgetEndedError, Search
from raft_chaos.raft.state.features import Features

FOR_EVER_S = 1e6

FAILURES = {
    ("vote_not_persisted", "one_vote_per_term"): (1, 0),
    ("no_up_to_date_check", "leader_completeness"): (3, 0),
    ("truncate_on_stale_append", "leader_completeness"): (3, 2),
    ("follower_commit_regress", "monotonicity"): (2, 2),
    ("commit_loop_break", "recovery"): (2, 0),
}
"""Of mutants that the storm of seed 1 convicts, and the most faults and operations that are to be left."""
QUICK = {"vote_not_persisted", "follower_commit_regress"}
failures = pytest.mark.parametrize(
    ("mutant", "invariant"),
    [pytest.param(*failure, marks=[] if failure[0] in QUICK else pytest.mark.slow) for failure in FAILURES],
)


def shrinker(plan: Schedule, mutant: str | None, invariant: str, budget_s: float = FOR_EVER_S) -> ScheduleShrinker:
    return ScheduleShrinker(plan, TIMING, mutant, invariant, budget_s=budget_s, jobs=1)


@cache
def shrunk(mutant: str, invariant: str) -> ScheduleShrinker:
    one = shrinker(stormy(1), mutant, invariant)
    assert one.run()
    return one


def run(plan: Schedule, mutant: str | None, until: str | None = None) -> tuple[list[str], str]:
    """(the invariants that it violates, its trace)."""
    done = VirtualRun(plan, timing=TIMING, driver=MemoryDriver(parts_of(mutant)), until=until).go()
    return [v.invariant for v in done.analysis.invariants if v.outcome == "violated"], done.trace_sha256


# ---- what is left ------------------------------------------------------------------------------------------------


@failures
def test_it_breaks_the_same_invariant_under_its_own_seed(mutant: str, invariant: str) -> None:
    small = shrunk(mutant, invariant).schedule
    assert invariant in run(small, mutant, invariant)[0]
    most_faults, most_operations = FAILURES[mutant, invariant]
    assert len(small.faults) <= most_faults and len(small.operations) <= most_operations
    assert len(small.header.nodes) == 3 and len(small.header.clients) == 1
    assert run(small, None)[0] == [], "the unmodified core breaks nothing in it"


@failures
def test_no_single_fault_or_operation_can_be_removed(mutant: str, invariant: str) -> None:
    one = shrunk(mutant, invariant)
    small = one.schedule
    less = [replace(small, faults=[f for f in small.faults if f is not gone]) for gone in small.faults]
    less += [replace(small, operations=[o for o in small.operations if o is not gone]) for gone in small.operations]
    less += [simpler for fault in small.faults for simpler in with_each(small, fault, fault_candidates(fault))]
    for plan in less:
        assert attempt(one.candidate(plan)) is None


def with_each(plan: Schedule, old: Fault, forms: Iterator[Fault]) -> Iterator[Schedule]:
    for form in forms:
        yield replace(plan, faults=[form if one is old else one for one in plan.faults])


@failures
def test_it_is_a_schedule_like_any_other(mutant: str, invariant: str, tmp_path: Path) -> None:
    small = shrunk(mutant, invariant).schedule
    check_schedule(small)
    save(small, tmp_path / "small.jsonl")
    assert load(tmp_path / "small.jsonl") == small


def test_it_can_be_given_to_raft_chaos_run(tmp_path: Path, command: Command) -> None:
    mutant, invariant = "follower_commit_regress", "monotonicity"
    small = shrunk(mutant, invariant).schedule
    save(small, tmp_path / "small.jsonl")
    options = ["--election-timeout", "30-60", "--heartbeat", "10", "--mutant", mutant, "--fail-fast", "--json"]
    where = ["--world", "sim", "--schedule", tmp_path / "small.jsonl", "--out", tmp_path / "out"]
    code, stdout, _ = command("run", *where, *options)
    document = json.loads(stdout)
    assert (code, document["verdict"]) == (1, "violated")
    assert document["invariants"][invariant] == "violated"


@pytest.mark.slow
def test_the_result_repeats_and_is_the_same_with_two_processes() -> None:
    mutant, invariant = "follower_commit_regress", "monotonicity"
    one = shrunk(mutant, invariant)
    several = ScheduleShrinker(stormy(1), TIMING, mutant, invariant, budget_s=FOR_EVER_S, jobs=2)
    several.search.alone_s = 0.0
    assert several.run()
    assert (several.schedule, several.search.replays) == (one.schedule, one.search.replays)


def test_what_happens_after_the_violation_is_removed() -> None:
    mutant, invariant = "vote_not_persisted", "one_vote_per_term"
    candidate = ScheduleCandidate(stormy(1), TIMING, mutant, invariant, 1)
    left = attempt(candidate)
    assert left is not None
    assert len(left.faults) < len(stormy(1).faults) and len(left.operations) < len(stormy(1).operations)
    assert [f.id for f in left.faults] == [f.id for f in stormy(1).faults if f in left.faults]
    assert run(left, mutant, invariant) == run(stormy(1), mutant, invariant), "it is the same run"


def test_a_run_that_ends_at_its_bound_of_events_does_not_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scheduler, "LOOK_EVERY", 10)
    mutant, invariant = "vote_not_persisted", "one_vote_per_term"
    for most, fails in ((50, False), (5_000, True)):
        shrinker = ScheduleShrinker(stormy(1), TIMING, mutant, invariant, budget_s=FOR_EVER_S, jobs=1, max_events=most)
        candidate = shrinker.candidate(stormy(1), seeds=1)
        assert (attempt(candidate) is not None) is fails


def test_a_violation_before_the_faults_leaves_a_valid_schedule() -> None:
    """Its end comes soon after the violation, but not before the safety phase has begun."""
    late = short(fault("f1", 6_000_000, Kill(["n1"], [0])), safety_us=(5_000_000, 7_000_000), every_us=0)
    not_begun = VirtualRun(late, timing=TIMING, driver=MemoryDriver(parts_of(None)))
    left = part_that_happened(late, not_begun)
    check_schedule(left)
    assert left.faults == []


def test_other_seeds_are_derived_from_its_own() -> None:
    plan = stormy(1)
    assert under_seed(plan, 0) is plan
    seeds = [under_seed(plan, number).header.seed for number in range(64)]
    assert len(set(seeds)) == 64 and all(0 <= seed < 1_000_000 for seed in seeds)
    assert seeds == [under_seed(plan, number).header.seed for number in range(64)]


# ---- ends --------------------------------------------------------------------------------------------------------


def test_a_schedule_that_violates_nothing_is_not_shrunk() -> None:
    with pytest.raises(NotReproducedError, match="no run of this schedule in sim violated recovery, under 40 seeds"):
        shrinker(short(every_us=0), None, "recovery").run()


def test_a_search_without_any_time_raises() -> None:
    with pytest.raises(NotReproducedError, match="the budget ended before a run in sim violated one_vote_per_term"):
        shrinker(stormy(1), "vote_not_persisted", "one_vote_per_term", budget_s=0.0).run()


def test_a_budget_that_ends_early_leaves_the_smallest_result_so_far() -> None:
    mutant, invariant = "no_up_to_date_check", "leader_completeness"

    def ends(search: object) -> None:
        if one.search.replays == 15:
            one.search.budget_s = 0.0

    one = ScheduleShrinker(stormy(1), TIMING, mutant, invariant, budget_s=FOR_EVER_S, jobs=1, progress=ends)
    assert not one.run(), "it does not say that it is minimal"
    assert invariant in run(one.schedule, mutant, invariant)[0]
    assert len(one.schedule.faults) < len(stormy(1).faults)


# ---- simpler forms -----------------------------------------------------------------------------------------------


@cache
def generated() -> list[Schedule]:
    """Schedules, half of them from the wide range, where some kinds are off."""
    sizes: dict[str, Any] = {"nodes": 5, "clients": 3, "warmup_s": 1, "duration_s": 6, "ops_per_second": 5}
    return [
        generate(seed, ScheduleConfig(swarm=bool(seed % 2), faults=FAULT_KINDS, liveness_s=1, **sizes))
        for seed in range(80)
    ]


def one_step(plan: Schedule) -> Iterator[Schedule]:
    """All results of one simplification of the schedule."""
    yield from header_candidates(plan)
    yield from without_features(plan)
    yield from live_fault_candidates(plan)
    yield from client_candidates(plan)
    yield from node_candidates(plan)
    for by_us in (1, 10_000, 10_000_000):
        if (moved := shifted_earlier(plan, by_us)) is not None:
            yield moved
    for one in plan.faults:
        yield from with_each(plan, one, fault_candidates(one))
        yield from with_each(plan, one, (replace(one, when=when) for when in when_candidates(one.when)))


def test_features_go_all_at_once_and_then_one_by_one() -> None:
    plan = stormy(1)
    several = replace(plan, header=replace(plan.header, features=Features(pre_vote=True, snapshot_every=9)))
    left = [one.header.features for one in without_features(several)]
    assert left == [Features(), Features(snapshot_every=9), Features(pre_vote=True)]
    assert not list(without_features(replace(plan, header=replace(plan.header, features=Features()))))


def test_without_a_feature_the_faults_go_that_need_it() -> None:
    removal = Fault(id="f90", when=When(at_us=1), action=Membership(["n1"]), duration_us=1)
    after_it = Fault(id="f91", when=When(since="f90"), action=Pause(["n1"]), duration_us=1)
    plan = replace(stormy(1), faults=[removal, after_it])
    plan = replace(plan, header=replace(plan.header, features=Features(check_quorum=True, membership="joint")))
    left = {tuple(one.header.features.names): [fault.id for fault in one.faults] for one in without_features(plan)}
    assert left == {(): [], ("check_quorum",): []}


def test_a_failure_that_needs_one_feature_keeps_that_one() -> None:
    mutant, invariant = "quorum_check_forgets_itself", "check_quorum"
    features = Features(pre_vote=True, check_quorum=True, snapshot_every=20)
    plan = replace(stormy(1), header=replace(stormy(1).header, features=features))
    one = ScheduleShrinker(plan, TIMING, mutant, invariant, budget_s=FOR_EVER_S, jobs=1, progress=lambda *_: None)
    assert one.run()
    assert one.schedule.header.features == Features(check_quorum=True)


def test_candidates_of_every_fault_are_valid() -> None:
    faults, candidates = Counter[str](), Counter[str]()
    for plan in generated():
        check_schedule(plan)
        for simpler in one_step(plan):
            check_schedule(simpler)
        for one in plan.faults:
            faults[one.action.kind()] += 1
            candidates[one.action.kind()] += len(list(fault_candidates(one)))
    assert set(faults) == set(FAULT_KINDS), faults
    assert all(2 * candidates[kind] >= number for kind, number in faults.items()), (faults, candidates)


def test_each_candidate_is_smaller_so_the_search_ends() -> None:
    """Each names fewer nodes, does less, or ends sooner, so the search ends."""
    for plan in generated()[:20]:
        for one in plan.faults:
            now, steps = one, 0
            while (simpler := next(fault_candidates(now), None)) is not None:
                assert simpler != now
                now, steps = simpler, steps + 1
                assert steps < 60, one
            for form in fault_candidates(one):
                assert form != one and form.duration_us <= max(one.duration_us, 1)
            for when in when_candidates(one.when):
                assert (when.nth, when.after_us) < (one.when.nth, one.when.after_us)


def test_an_anchor_gets_earlier_by_its_number_and_by_its_delay() -> None:
    when = When(on="leader_elected", nth=5, after_us=3_000)
    assert list(when_candidates(when)) == [
        replace(when, nth=1),
        replace(when, nth=2),
        replace(when, nth=4),
        replace(when, after_us=0),
        replace(when, after_us=1_000),
    ]
    assert list(when_candidates(When(at_us=7))) == [], "times move together"


# ---- all of it ---------------------------------------------------------------------------------------------------


def test_a_violation_that_shows_only_at_the_end_has_a_scenario_and_no_execution() -> None:
    one = made(*STUCK)
    assert one.reproduction.execution is None and one.reproduction.scenario is not None
    assert (one.minimal, one.after.steps) == (True, None)
    assert one.after.faults <= 2 < one.before.faults
    again = reproduce(one.reproduction, STUCK[0])
    assert (again.outcome, again.same_trace) == ("reproduced", True)
    assert reproduce(one.reproduction, None).outcome == "holds"


def test_a_reproduction_has_a_schedule_an_execution_and_their_sizes() -> None:
    one = made(*VOTE)
    execution, scenario = one.reproduction.execution, one.reproduction.scenario
    assert execution is not None and scenario is not None
    before, after = one.before, one.after
    assert (before.faults, before.nodes) == (len(stormy(1).faults), 3)
    assert before.steps == len(recorded(1, VOTE[0], until=VOTE[1]).steps)
    assert (after.faults, after.steps, after.nodes) == (len(scenario.schedule.faults), len(execution.steps), 3)
    assert after.steps < before.steps / 5 and after.terms <= before.terms
    again = reproduce(one.reproduction, VOTE[0])
    assert (again.outcome, again.same_trace, again.skipped) == ("reproduced", True, [])
    assert reproduce(one.reproduction, None).outcome == "holds"


def test_an_anchored_schedule_fails_as_often_as_the_one_at_fixed_times() -> None:
    mutant, invariant = "vote_not_persisted", "one_vote_per_term"
    small = shrunk(mutant, invariant).schedule
    candidate = ScheduleCandidate(small, TIMING, mutant, invariant, 1)
    with Search(small, attempt, FOR_EVER_S, 1) as search:
        found = anchor(candidate, search)
    check_schedule(found.schedule)
    assert found.after >= found.before > 0
    with pytest.raises(BudgetEndedError), Search(small, attempt, 0.0, 1) as search:
        search.all([candidate])
