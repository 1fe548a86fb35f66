"""Shrunk executions violate the same invariant, are minimal, and violate nothing in the unmodified core."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import cache
from itertools import combinations
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from builders.executions import ELECTION, WRITE, execution, play, recorded
from builders.schedules import NODES
from raft_chaos.chaos.execution.steps import Crash, Execution, Input, Note, Return, Submit, check, keep
from raft_chaos.chaos.reproduction.make import NotReproducedError
from raft_chaos.chaos.shrink.executions import Candidate, ExecutionShrinker, attempt

FOR_EVER_S = 1e6
SEED = 3

MOST_STEPS = {
    ("vote_not_persisted", "one_vote_per_term"): 5,
    ("term_not_persisted", "monotonicity"): 5,
    ("no_up_to_date_check", "leader_completeness"): 24,
    ("truncate_on_stale_append", "leader_completeness"): 34,
    ("match_starts_valid", "state_machine_safety"): 18,
    ("follower_commit_regress", "monotonicity"): 20,
    ("no_client_dedup", "acknowledged_writes"): 36,
}
"""Of mutants that the storm of this seed convicts; the first two need no more than a vote before and after a crash."""
QUICK = {"vote_not_persisted", "follower_commit_regress"}
failures = pytest.mark.parametrize(
    ("mutant", "invariant"),
    [pytest.param(*failure, marks=[] if failure[0] in QUICK else pytest.mark.slow) for failure in MOST_STEPS],
)


def shrinker(whole: Execution, mutant: str | None, invariant: str, budget_s: float = FOR_EVER_S) -> ExecutionShrinker:
    return ExecutionShrinker(whole, mutant, invariant, budget_s=budget_s, jobs=1)


@cache
def shrunk(mutant: str, invariant: str) -> tuple[Execution, int]:
    """The small execution, and how many replays it took."""
    one = shrinker(recorded(SEED, mutant, until=invariant), mutant, invariant)
    assert one.run()
    return one.execution, one.search.replays


def without(whole: Execution, *gone: int) -> Execution:
    return keep(whole, [number for number in range(len(whole.steps)) if number not in gone])


# ---- what is left ------------------------------------------------------------------------------------------------


@failures
def test_it_still_breaks_the_same_invariant(mutant: str, invariant: str) -> None:
    small, _ = shrunk(mutant, invariant)
    check(small)
    came_to = play(small, mutant)
    assert came_to.violates(invariant)
    assert len(small.steps) <= MOST_STEPS[mutant, invariant]
    assert not play(without(small, len(small.steps) - 1), mutant).violates(invariant), "it ends where it breaks"


@failures
def test_the_unmodified_core_violates_nothing_in_it(mutant: str, invariant: str) -> None:
    """If every core violates the invariant in a small execution, the shrinker or the player has a mistake."""
    small, _ = shrunk(mutant, invariant)
    assert not [v.invariant for v in play(small, None, "lenient").verdicts if v.outcome == "violated"]


@failures
def test_no_single_step_can_be_removed(mutant: str, invariant: str) -> None:
    small, _ = shrunk(mutant, invariant)
    for number in range(len(small.steps)):
        assert attempt(Candidate(without(small, number), mutant, invariant)) is None, small.steps[number]
        redirected = keep(small, [other for other in range(len(small.steps)) if other != number], redirect=True)
        assert attempt(Candidate(redirected, mutant, invariant, "helpful")) is None, small.steps[number]


@failures
def test_no_two_steps_can_be_removed(mutant: str, invariant: str) -> None:
    """For example an election, and the one that needed a higher term because of it."""
    small, _ = shrunk(mutant, invariant)
    for pair in combinations(range(len(small.steps)), 2):
        assert attempt(Candidate(without(small, *pair), mutant, invariant)) is None, pair


@failures
def test_times_notes_and_turns_of_several_inputs_are_removed(mutant: str, invariant: str) -> None:
    small, _ = shrunk(mutant, invariant)
    assert len(small.nodes) == 3
    assert {call.id for call in small.calls} == {
        step.call for step in small.steps if isinstance(step, Submit | Return)
    }, "calls that nobody submits or sees the end of are of no use"
    for step in small.steps:
        assert not isinstance(step, Note)
        assert step.at_us is None
        assert not isinstance(step, Input) or not step.more


@pytest.mark.slow
def test_unsynced_bytes_survive_a_crash_only_if_they_are_needed() -> None:
    """Torn writes and failpoints are removed too, if the failure does not need them."""
    small, _ = shrunk("no_client_dedup", "acknowledged_writes")
    plain = replace(small, steps=[replace(s, keep_bytes=0) if isinstance(s, Crash) else s for s in small.steps])
    assert plain == small
    assert not [step for step in small.steps if isinstance(step, Input) and step.stop]


def test_nodes_without_influence_are_removed() -> None:
    """Removing them also makes a majority smaller."""
    names = ["a", *NODES, "b"]
    small, _ = shrunk("vote_not_persisted", "one_vote_per_term")
    assert len(shrunk_of_five(replace(small, nodes=names)).nodes) == 3


def shrunk_of_five(whole: Execution) -> Execution:
    one = shrinker(whole, "vote_not_persisted", "one_vote_per_term")
    assert one.run()
    return one.execution


# ---- the same each time ------------------------------------------------------------------------------------------

SHRINK = """
import msgspec, sys
from test_shrink_executions import shrunk
sys.stdout.buffer.write(msgspec.json.encode(shrunk("match_starts_valid", "state_machine_safety")))
"""


@pytest.mark.slow
def test_the_result_is_the_same_with_two_processes_and_another_hash_seed() -> None:
    mutant, invariant = "match_starts_valid", "state_machine_safety"
    small, replays = shrunk(mutant, invariant)
    several = ExecutionShrinker(recorded(SEED, mutant, until=invariant), mutant, invariant, budget_s=FOR_EVER_S, jobs=2)
    several.search.alone_s = 0.0
    assert several.run()
    assert (several.execution, several.search.replays) == (small, replays)
    there = subprocess.run(
        [sys.executable, "-c", SHRINK],
        cwd=Path(__file__).parent,
        env=os.environ | {"PYTHONHASHSEED": "4711", "PYTHONPATH": str(Path(__file__).parents[1])},
        capture_output=True,
        check=True,
    )
    assert msgspec.json.decode(there.stdout, type=tuple[Execution, int]) == (small, replays)


def test_a_minimal_execution_stays_unchanged() -> None:
    small, _ = shrunk("follower_commit_regress", "monotonicity")
    again = shrinker(small, "follower_commit_regress", "monotonicity")
    assert again.run()
    assert again.execution == small


# ---- ends --------------------------------------------------------------------------------------------------------


def test_an_execution_that_violates_nothing_is_not_shrunk() -> None:
    with pytest.raises(NotReproducedError, match="playing the execution did not violate leader_completeness"):
        shrinker(execution((*ELECTION, *WRITE)), None, "leader_completeness").run()
    small, _ = shrunk("vote_not_persisted", "one_vote_per_term")
    with pytest.raises(NotReproducedError):
        shrinker(small, "vote_not_persisted", "election_safety").run()


def test_a_search_without_any_time_raises() -> None:
    whole = recorded(SEED, "vote_not_persisted", until="one_vote_per_term")
    with pytest.raises(NotReproducedError, match="the budget ended before the execution was played"):
        shrinker(whole, "vote_not_persisted", "one_vote_per_term", budget_s=0.0).run()


def test_a_budget_that_ends_early_leaves_the_smallest_result_so_far() -> None:
    mutant, invariant = "follower_commit_regress", "monotonicity"
    whole = recorded(SEED, mutant, until=invariant)

    def ends(search: object) -> None:
        if one.search.replays == 40:
            one.search.budget_s = 0.0

    one = ExecutionShrinker(whole, mutant, invariant, budget_s=FOR_EVER_S, jobs=1, progress=ends)
    assert not one.run(), "it does not say that it is minimal"
    small, _ = shrunk(mutant, invariant)
    assert len(small.steps) < len(one.execution.steps) < len(whole.steps)
    assert play(one.execution, mutant).violates(invariant)


@pytest.mark.slow
def test_a_command_stays_with_its_invocation() -> None:
    """Otherwise a read would return a value that nobody wrote, and the search would keep that violation."""
    small, _ = shrunk("no_client_dedup", "acknowledged_writes")
    assert len(small.calls) == 2
    broken = {verdict.invariant: verdict.violations for verdict in play(small, "no_client_dedup").verdicts}
    assert [violation.rule for violation in broken["acknowledged_writes"]] == [
        "Each command is applied exactly once, however often it is sent (§8)."
    ]
