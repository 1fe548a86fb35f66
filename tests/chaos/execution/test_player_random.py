"""No execution makes the unmodified core violate an invariant. Otherwise a reproduction could blame a correct core.

The random executions are recorded ones with steps removed, and with crashes, timeouts, duplicated messages, repeated
commands and failpoints inserted. The same executions convict mutants.
"""

from __future__ import annotations

from functools import cache
from random import Random

import pytest
from msgspec.structs import replace

from builders.executions import play, recorded
from raft_chaos.chaos.execution.steps import (
    Crash,
    Deliver,
    Execution,
    Input,
    Note,
    Persist,
    Return,
    Start,
    Step,
    Submit,
    Timeout,
    check,
    keep,
    without_times,
)
from raft_chaos.chaos.faults.process import Failpoint

SEEDS = range(40)
STOPS: tuple[Failpoint, ...] = (
    "before_report",
    "before_send",
    "mid_send",
    "before_write",
    "before_apply",
    "after_sync",
)


@cache
def whole(seed: int) -> Execution:
    return recorded(seed)


def stormier(seed: int) -> Execution:
    rng, one = Random(seed), whole((1, 8, 14, 20)[seed % 4])
    one = replace(one, steps=[without_times(step) for step in one.steps])
    share = (0.01, 0.05, 0.2)[seed % 3]
    kept = [n for n, s in enumerate(one.steps) if not isinstance(s, Note) and rng.random() > share]
    part = keep(one, kept, redirect=rng.random() < 0.5)
    steps: list[Step] = []
    now: list[int] = []  # the place of each of its steps
    for step in part.steps:
        match step:
            case Deliver():
                step = replace(step, sent_by=now[step.sent_by])
            case Return(answer=int(answer)):
                step = replace(step, answer=now[answer])
            case Crash():
                step = replace(step, keep_bytes=rng.choice((0, 5, 50, 500)))
        if isinstance(step, Input) and rng.random() < 0.01:
            step = replace(step, stop=rng.choice(STOPS))
        now.append(len(steps))
        steps.append(step)
        steps += _between(rng, one, len(steps))
    return replace(one, steps=steps)


def _between(rng: Random, one: Execution, count: int) -> list[Step]:
    node, chance = rng.choice(one.nodes), rng.random()
    if chance < 0.02:
        return [Crash(node, rng.choice((0, 10, 1_000))), Start(node)]
    if chance < 0.06:
        return [Timeout(node)]
    if chance < 0.10:
        return [Persist(node)]
    if chance < 0.16:
        return [Deliver(rng.randrange(max(0, count - 60), count), node, rng.choice((0, 0, 1)))]
    return [Submit(node, rng.choice(one.calls).id)] if chance < 0.17 else []


@pytest.mark.parametrize("seed", SEEDS)
def test_the_unmodified_core_violates_nothing(seed: int) -> None:
    one = stormier(seed)
    check(one)
    for mode in ("lenient", "helpful"):
        came_to = play(one, None, mode)  # type: ignore[arg-type]
        assert [v.violations for v in came_to.verdicts if v.outcome == "violated"] == []
        assert len(came_to.done) > 150


@pytest.mark.parametrize("mutant", ["term_then_vote", "rollback_committed", "match_starts_valid"])
def test_mutants_are_convicted(mutant: str) -> None:
    """Several times each: what is random here does reach elections, overwritten logs and commitment."""
    verdicts = [verdict for seed in SEEDS for verdict in play(stormier(seed), mutant, "lenient").verdicts]
    assert len([verdict for verdict in verdicts if verdict.outcome == "violated"]) > 3
