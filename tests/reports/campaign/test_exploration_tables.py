"""The tables of an exploration: bounded, whatever its length, and the same numbers as in its document."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from raft_chaos.invariants.verdict import Outcome
from raft_chaos.reports.campaign.exploration import (
    MOST_POINTS,
    SHOWN_POINTS,
    ExplorationTotals,
    exploration_document,
    exploration_text,
)


@dataclass
class Attempt:
    number: int
    way: str = "fresh"
    seed: int = 7
    cpu_s: float = 0.5
    verdict: Outcome = "valid"
    violated: list[str] = field(default_factory=list)
    run: str | None = None
    repro: str = ""


def observed(attempts: int) -> ExplorationTotals:
    totals = ExplorationTotals(target="our Raft", seed=1, folder="runs/explore-0")
    for number in range(attempts):
        totals.observe(Attempt(number, way="fresh" if number % 3 else "varied"), 100 // (number + 1))
    return totals


@pytest.mark.parametrize("attempts", [1, 5, 12, 1_000])
def test_states_over_time_end_with_all_of_them(attempts: int) -> None:
    totals = observed(attempts)
    curve = exploration_document(totals)["over_time"]
    assert curve[-1] == {"runs": attempts, "cpu_s": attempts / 2, "states": totals.states}
    assert len(curve) <= MOST_POINTS + 1
    text = exploration_text(totals)
    rows = [line.split() for line in text if line.rstrip().endswith("#")]
    assert 1 <= len(rows) <= SHOWN_POINTS
    assert rows[-1][:3] == [f"{attempts / 2:.1f}", str(attempts), str(totals.states)]


@pytest.mark.parametrize("width", [40, 80, 200])
def test_the_page_fits(width: int) -> None:
    totals = observed(40)
    assert max(map(len, exploration_text(totals, width))) <= width


def test_failures_alike_are_one_row_and_the_command_comes_last() -> None:
    totals = observed(3)
    for number in range(3, 6):
        totals.observe(
            Attempt(number, verdict="violated", violated=["recovery"], run=f"runs/{number}", repro=f"repeat {number}"),
            0,
        )
    text = exploration_text(totals)
    assert text[0] == f"VIOLATED (6 runs, {totals.states} states, 3 failures)"
    assert text[-1] == "repeat 3"
    (failure,) = exploration_document(totals)["failures"]
    assert (failure["runs"], failure["run"], failure["first_after_cpu_s"]) == (3, "runs/3", 2.0)
    assert totals.exit_code == 1


def test_nothing_run_is_unknown() -> None:
    totals = observed(0)
    assert totals.verdict == "unknown"
    assert exploration_text(totals)[0] == "UNKNOWN (0 runs, 0 states, 0 failures)"
