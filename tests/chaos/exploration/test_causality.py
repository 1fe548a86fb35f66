"""Causality: the chances along an execution whose decisive step is known, and the jump."""

from __future__ import annotations

from random import Random

import pytest

from raft_chaos.chaos.execution.steps import Crash, Deliver, Execution, Persist, Start, Step, Timeout
from raft_chaos.chaos.exploration import causality as module
from raft_chaos.chaos.exploration.causality import Causality, Chance, causality
from raft_chaos.chaos.exploration.walk import Walk
from raft_chaos.chaos.mutants import parts_of
from raft_chaos.raft.state.timing import Timing

INVARIANT = "one_vote_per_term"
STEPS: list[Step] = [
    Start("n1"),
    Start("n2"),
    Timeout("n2"),
    Persist("n2"),
    Deliver(3, "n1"),
    Persist("n1"),
    Crash("n1"),
    Start("n1"),
]
"""n1 votes for n2 and crashes; with the mutant it has forgotten its vote when it is back."""


def execution(steps: list[Step]) -> Execution:
    return Execution(seed=1, nodes=["n1", "n2", "n3"], timing=Timing(150_000, 300_000, 50_000), calls=[], steps=steps)


def measured(mutant: str | None, seed: int = 1) -> Causality:
    return causality(execution(STEPS), INVARIANT, parts_of(mutant), seed=seed, budget_s=60, rounds=40)


def test_the_step_that_loses_the_vote_is_the_jump() -> None:
    found = measured("vote_not_persisted")
    assert [one.after for one in found.chances] == list(range(len(STEPS)))
    assert found.chances[-1].probability == 1
    jump = found.jump
    assert jump is not None
    assert isinstance(STEPS[jump[1].after - 1], Crash)


@pytest.mark.slow
def test_the_same_seed_gives_the_same_chances() -> None:
    assert measured("vote_not_persisted") == measured("vote_not_persisted") != measured("vote_not_persisted", seed=2)


def test_the_right_core_breaks_nothing_and_has_no_jump() -> None:
    found = measured(None)
    assert [one.broke for one in found.chances] == [0] * len(STEPS)
    assert found.jump is None


def test_a_walk_goes_on_after_any_prefix() -> None:
    for prefix in range(len(STEPS) + 1):
        assert not Walk(execution(STEPS), prefix, parts_of(None)).breaks(INVARIANT, 60, Random(prefix))


def test_the_budget_ends_rounds_but_not_the_first() -> None:
    ticks = iter(range(1_000))
    found = causality(execution(STEPS), INVARIANT, parts_of(None), seed=1, budget_s=2, clock=lambda: float(next(ticks)))
    assert {one.walked for one in found.chances} == {2}


def test_a_long_execution_is_looked_at_in_at_most_so_many_places(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_POINTS", 5)
    steps: list[Step] = [Start("n1"), *[Timeout("n1")] * 20]
    found = causality(execution(steps), INVARIANT, parts_of(None), seed=1, budget_s=0)
    places = [one.after for one in found.chances]
    assert places == [0, 5, 10, 15, 20]


def test_a_rise_that_chance_explains_is_no_jump() -> None:
    def of(*broke: int) -> Causality:
        chances = [Chance(after=place, walked=20, broke=one) for place, one in enumerate(broke)]
        return Causality(invariant=INVARIANT, chances=chances, steps=40)

    assert of(5, 7, 6, 8).jump is None
    assert of(20).jump is None
    jump = of(0, 1, 15, 16).jump
    assert jump is not None
    assert jump[1].after == 2


def test_a_flat_curve_of_many_steps_has_no_jump() -> None:
    """Of many rises by chance the largest is large."""
    named = 0
    for seed in range(40):
        rng = Random(seed)
        chances = [
            Chance(after=place, walked=60, broke=sum(rng.random() < 0.5 for _ in range(60))) for place in range(60)
        ]
        named += Causality(invariant=INVARIANT, chances=chances, steps=40).jump is not None
    assert named <= 4
