"""Each mutant overrides one method and does not crash, and its handwritten scenario convicts it."""

from __future__ import annotations

from dataclasses import fields
from functools import cache
from inspect import isfunction
from typing import Any

import pytest
import sim_scenarios
import storage_scenarios
from msgspec.structs import replace
from mutant_scenarios import SCENARIOS, Observed

from cluster import TIMING
from raft_chaos.chaos.mutants import MUTANTS, Mutant
from raft_chaos.invariants.events import HARNESS, PhaseStarted
from raft_chaos.invariants.history import Op
from raft_chaos.invariants.judge import Judge
from raft_chaos.invariants.pace import Pace
from raft_chaos.invariants.verdict import Outcome
from raft_chaos.raft.core import Core
from raft_chaos.raft.server.parts import Parts
from random_schedule import RandomSchedule, Safety

PACE = Pace(TIMING.heartbeat_us, TIMING.max_entries_per_message, 1, (100_000, 300_000), entry_bytes=200)
"""With the shortest and the longest election timeout of the scenarios of cores."""
OF_STORAGE = {scenario.__name__ for scenario in storage_scenarios.SCENARIOS}
PACE_OF_STORAGE = replace(PACE, election_timeout_us=(30_000, 60_000))
WITH_CHECK_QUORUM = replace(PACE, check_quorum=True)
PACES = {
    "quorum_check_forgets_itself": WITH_CHECK_QUORUM,
    "pre_vote_without_log_check": replace(PACE, pre_vote=True),
    "pre_vote_while_led": replace(PACE, pre_vote=True, check_quorum=True),
    "one_pre_vote_is_enough": replace(PACE, pre_vote=True),
    "pre_votes_accumulate": replace(PACE, pre_vote=True),
    "leader_heeds_candidates": WITH_CHECK_QUORUM,
    "candidates_always_heeded": WITH_CHECK_QUORUM,
    "restart_forgets_leader": WITH_CHECK_QUORUM,
    "learner_never_promoted": replace(
        PACE, heartbeat_us=50_000, election_timeout_us=(150_000, 300_000), first_voters=("n1", "n2")
    ),
    "learner_stands": replace(PACE, first_voters=("n1", "n2")),
    "one_snapshot_each_start": replace(PACE, snapshot_every=5),
    "sessions_never_forgotten": replace(PACE, max_sessions=2),
    "oldest_session_forgotten": replace(PACE, max_sessions=2),
    "any_answer_opens_window": replace(PACE, bytes_in_flight=10),
    "never_busy": replace(PACE, waiting=2),
    "loses_quorum_and_leads": replace(
        PACE, heartbeat_us=50_000, election_timeout_us=(150_000, 300_000), check_quorum=True
    ),
} | dict.fromkeys(OF_STORAGE, PACE_OF_STORAGE)
"""Of scenarios with other times or features."""

EVERY_MUTANT = pytest.mark.parametrize("mutant", MUTANTS.values(), ids=list(MUTANTS))
CONVICTABLE = [mutant for mutant in MUTANTS.values() if mutant.invariants]
EVERY_CONVICTABLE_MUTANT = pytest.mark.parametrize("mutant", CONVICTABLE, ids=[mutant.id for mutant in CONVICTABLE])


@cache
def observed(mutant: str) -> Observed:
    """What its scenario shows of a mutant."""
    return SCENARIOS[mutant](MUTANTS[mutant].parts)


def outcomes(shown: Observed, pace: Pace) -> dict[str, Outcome]:
    """The verdicts on a run, by invariant. A whole run in virtual time has a heartbeat interval of its own."""
    if any(isinstance(one, PhaseStarted) and one.within_us for one in shown):
        pace = replace(pace, heartbeat_us=sim_scenarios.TIMING.heartbeat_us)
    judge = Judge(voters=sorted({one.node for one in shown if not isinstance(one, Op)} - {HARNESS}), pace=pace)
    for one in shown:
        if isinstance(one, Op):
            judge.observe_op(one)
        else:
            judge.observe(one)
    return {verdict.invariant: verdict.outcome for verdict in judge.verdicts()}


def violated(shown: Observed, mutant: Mutant) -> set[str]:
    found = outcomes(shown, PACES.get(mutant.id, PACE))
    return {invariant for invariant, outcome in found.items() if outcome == "violated"}


def replaced(mutant: Mutant) -> list[tuple[type[Any], type[Any]]]:
    """The replaced parts, each with the original one."""
    right = Parts()
    pairs = [(getattr(mutant.parts, field.name), getattr(right, field.name)) for field in fields(Parts)]
    return [(wrong, part) for wrong, part in pairs if wrong is not part]


# ---- what convicts them ----------------------------------------------------------------------------------------------


@EVERY_CONVICTABLE_MUTANT
def test_its_scenario_convicts_the_mutant_and_not_the_unmodified_core(mutant: Mutant) -> None:
    """The same steps for both. A mutant without a scenario fails here."""
    scenario = SCENARIOS[mutant.id]
    assert violated(scenario(Parts()), mutant) == set()
    broken = violated(observed(mutant.id), mutant)
    assert mutant.invariants[0] in broken
    assert broken <= set(mutant.invariants)


@EVERY_CONVICTABLE_MUTANT
def test_a_scenario_is_deterministic(mutant: Mutant) -> None:
    """The same steps give the same events: a scenario that convicts a mutant once always does."""
    assert SCENARIOS[mutant.id](mutant.parts) == observed(mutant.id)


def test_there_is_no_scenario_without_a_mutant() -> None:
    assert set(SCENARIOS) == {mutant.id for mutant in CONVICTABLE}


@EVERY_MUTANT
def test_a_mutant_that_no_invariant_convicts_says_why(mutant: Mutant) -> None:
    assert mutant.invariants or mutant.survives


# ---- what makes them honest ------------------------------------------------------------------------------------------


@EVERY_MUTANT
def test_a_mutant_overrides_exactly_one_method_of_one_part(mutant: Mutant) -> None:
    ((wrong, right),) = replaced(mutant)
    assert wrong.__bases__ == (right,)
    overridden = [name for name, value in vars(wrong).items() if isinstance(value, property) or isfunction(value)]
    assert len(overridden) == 1
    assert hasattr(right, overridden[0])


@EVERY_MUTANT
def test_the_invariants_of_each_mutant_exist(mutant: Mutant) -> None:
    known = {checker.invariant for checker in Judge(pace=PACE).checkers}
    assert set(mutant.invariants) <= known


class Blind(Safety):
    """A judge that reports no violation, so that runs continue after a mutant's mistakes."""

    def check(self, server: Any) -> None:
        pass


@pytest.mark.parametrize("seeds", [range(2), pytest.param(range(2, 10), marks=pytest.mark.slow)])
@pytest.mark.parametrize("core", [m.parts.core for m in MUTANTS.values() if m.parts.core is not Core])
def test_a_mutant_does_not_crash(core: type[Core], seeds: range) -> None:
    """A node that ends by itself is a different violation than that of its mistake."""
    for seed in seeds:
        schedule = RandomSchedule(seed, core=core)
        schedule.safety = Blind(schedule.cluster)
        schedule.run(2_000)
        assert len(schedule.events()) > 100
