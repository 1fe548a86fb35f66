"""The tables and the page of a kill matrix, and two of them beside each other."""

from __future__ import annotations

from dataclasses import replace
from math import inf, sqrt

import pytest

from raft_chaos.reports.campaign.matrix import matrix_markdown, matrix_page, matrix_summary, matrix_tables
from raft_chaos.reports.campaign.matrix_compare import comparison, deviations
from raft_chaos.reports.campaign.matrix_view import Hunted, MatrixView
from raft_chaos.reports.html.matrix import matrix_html

PARTS = ["kill", "churn"]


def _hunt(
    mutant: str,
    seeds: int,
    *violated: str,
    start: int = 1,
    world: str = "sim",
    without: str = "",
    parts: object = PARTS,
) -> Hunted:
    return Hunted(
        mutant=mutant,
        world=world,
        without=without,
        start=start,
        seeds=seeds,
        seconds=seeds / 2,
        violated=list(violated),
        parts=list(parts) if isinstance(parts, list) else [],
    )


VIEW = MatrixView(
    hunts=[
        _hunt("early", 1, "election_safety", "recovery"),
        _hunt("early", 3, "election_safety", start=2),
        _hunt("late", 40, "recovery"),
        _hunt("late", 60, start=2),
        _hunt("late", 62, start=3),
        _hunt("odd", 2, "recovery", parts=["kill"]),
        _hunt("early", 21, without="kill"),
        _hunt("early", 9, "election_safety", without="churn"),
        _hunt("late", 60, without="kill"),
        _hunt("odd", 5, without="kill"),
        _hunt("early", 2, "election_safety", world="live"),
        _hunt("late", 7, world="live"),
        _hunt("odd", 1, "recovery", world="live"),
    ],
    mutants={"early": ["election_safety"], "late": ["recovery"], "odd": ["durability"], "never hunted": []},
    invariants=["election_safety", "recovery", "durability", "quorum_log"],
    parts={"kill": "fault", "pause": "fault", "churn": "episode"},
)


def test_who_convicts_whom_and_after_how_many_seeds() -> None:
    rows = {row[0]: row[1:] for row in matrix_tables(VIEW)[0].rows}
    assert rows["early"][:5] == ["2/2", "2/2", "2", "1.0", "election_safety 100%, recovery* 50%"]
    assert rows["early"][5] == "kill > 21x, churn 9x"
    assert rows["late"] == ["1/3", "1/3", "> 62", "> 31", "recovery 33%", ""]
    assert rows["odd"][:5] == ["1/1", "0/1", "2", "1.0", "recovery* 100%"], "not by an invariant that fits"
    assert "never hunted" not in rows


def test_what_each_invariant_is_needed_for() -> None:
    assert [row[1:] for row in matrix_tables(VIEW)[1].rows] == [
        ["1", "0", "redundant here"],
        ["3", "2", "late, odd"],
        ["0", "0", "convicts nobody here"],
        ["0", "0", "convicts nobody here"],
    ]


def test_an_invariant_of_queues_is_not_said_to_convict_nobody() -> None:
    view = replace(VIEW, invariants=["election_safety", "total_queue"])
    assert matrix_tables(view)[1].rows[-1][1:] == ["0", "0", "for systems with queues"]
    assert matrix_summary(view)[-1] == "For systems with queues, which our Raft has not: total_queue."


def test_what_each_kind_and_each_episode_is_needed_for() -> None:
    parts = matrix_tables(VIEW)[2]
    assert parts.rows == [
        ["kill", "fault", "3", "early (> 21x)", "", "odd (> 2x)"],
        ["churn", "episode", "2", "", "early (9x)", ""],
    ]
    assert parts.note.endswith("In no convicting seed, so needed by none: pause.")
    absent = VIEW.slower("odd", "churn")
    assert absent is not None and absent.times == 1, "its schedule has no churn, so the hunt goes the same without"
    assert VIEW.slower("late", "kill") is None, "most of its hunts do not end with all parts either"


def test_a_part_is_not_needed_because_other_hunts_were_luckier() -> None:
    hunts = [
        _hunt("hard", 80, "recovery"),
        *(_hunt("hard", 5, "recovery", start=start) for start in (2, 3)),
        _hunt("hard", 50, without="kill"),
    ]
    found = MatrixView(hunts, {"hard": ["recovery"]}, ["recovery"], {"kill": "fault"}).slower("hard", "kill")
    assert found is not None and not found.needed, "from this first seed it takes 80 seeds with the part"


def test_what_real_processes_show() -> None:
    worlds = matrix_tables(VIEW)[3]
    assert worlds.rows == [
        ["early", "election_safety after 2 seeds, 1 s"],
        ["late", "not after 7 seeds, 4 s"],
        ["odd", "recovery* after 1 seed, 0 s"],
    ]
    assert worlds.note.endswith("live: 2 of 3 convicted.")


def test_the_sums_count_what_is_convicted_soon_by_an_invariant_that_fits() -> None:
    soon, middle, slowest, own, redundant, idle = matrix_summary(VIEW)
    assert soon.startswith("1 of 3 mutants convicted within 60 CPU s") and "median of 3 campaigns" in soon
    assert middle == "All mutants: median never CPU s."
    assert slowest == "The slowest: late never, odd never, early 1.0."
    assert own.startswith("1 of 4 invariants")
    assert (redundant, idle) == ("Redundant here: election_safety.", "Convict nobody here: durability, quorum_log.")


def test_the_page_has_a_cell_for_each_pair() -> None:
    page = matrix_html(VIEW, "raft-chaos matrix", [comparison(VIEW, VIEW)])
    assert page.count('class="expected') == 2 and "late, recovery: in 33 % of its hunts" in page
    assert "durability</span>" not in page, "no column for an invariant that convicts nobody"
    assert "3 of 3 mutants convicted, by 2 invariants" in page and "Before and after" in page
    assert "1 of 3 mutants convicted within 60 CPU s" in page
    assert matrix_markdown(VIEW, "raft-chaos matrix").count("\n## ") == 4
    assert any("Who convicts whom" in line for line in matrix_page(VIEW, 80))


def _zoo(**times: list[int]) -> MatrixView:
    hunts = [
        _hunt(name, seeds, *(["recovery"] if seeds < 100 else []), start=start)
        for name, every in times.items()
        for start, seeds in enumerate(every)
    ]
    should = {name: ["recovery"] for name in times}
    return MatrixView(hunts=hunts, mutants=should, invariants=["recovery"], parts={})


def test_before_and_after_are_told_apart_from_chance() -> None:
    calm, far = [4, 8, 2, 6, 5, 7, 3, 9, 5, 5], [40, 80, 20, 60, 50, 70, 30, 90, 50, 50]
    before = _zoo(same=calm, worse=calm, better=far, lost=calm, gone=calm)
    after = _zoo(same=calm[::-1], worse=far, better=calm, lost=[100] * 10, new=calm)
    table = comparison(before, after)
    assert {row[0]: row[-2:] for row in table.rows} == {
        "lost": ["never", "slower"],
        "worse": ["10.00x", "slower"],
        "same": ["1.00x", ""],
        "better": ["0.10x", "faster"],
    }
    assert [row[0] for row in table.rows] == ["lost", "worse", "same", "better"]
    assert "1.00x the CPU time" in table.note and "2 slower, 1 faster" in table.note


def test_a_smaller_budget_makes_nothing_slower() -> None:
    long = [12, 96, 90, 92, 94, 98, 91, 93, 95, 97]
    before = _zoo(hard=long)
    given_up = [_hunt("hard", 12, "recovery"), *(_hunt("hard", 20, start=start) for start in range(1, 10))]
    table = comparison(before, replace(before, hunts=given_up))
    assert [row[-1] for row in table.rows] == [""], "who gave up after 10 s might have been convicted after 45 s too"


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ([1, 2, 3, 4], [5, 6, 7, 8], 8 / sqrt(12)),
        ([5, 6, 7, 8], [1, 2, 3, 4], -8 / sqrt(12)),
        ([1, 1, 2], [2, 3, 3], 4 / sqrt(9 / 12 * (7 - 18 / 30))),
    ],
)
def test_the_deviations_are_those_of_mann_and_whitney(before: list[int], after: list[int], expected: float) -> None:
    assert deviations(before, after) == pytest.approx(expected)


def test_few_or_equal_values_are_chance() -> None:
    assert deviations([1.0], [2.0]) < 2 and deviations([3.0, 3.0], [3.0, 3.0]) == 0
    assert deviations([1.0] * 5, [inf] * 5) > 2.58
