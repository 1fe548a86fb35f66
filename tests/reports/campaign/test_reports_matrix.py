"""The tables and the page of a kill matrix."""

from __future__ import annotations

from raft_chaos.reports.campaign.matrix import Hunted, MatrixView, matrix_markdown, matrix_page, matrix_tables
from raft_chaos.reports.html.matrix import matrix_html


def _hunt(mutant: str, seeds: int, *violated: str, world: str = "sim", without: str = "") -> Hunted:
    return Hunted(mutant=mutant, world=world, without=without, seeds=seeds, seconds=seeds / 2, violated=list(violated))


VIEW = MatrixView(
    hunts=[
        _hunt("early", 1, "election_safety", "recovery"),
        _hunt("early", 3, "election_safety"),
        _hunt("late", 40, "recovery"),
        _hunt("late", 60),
        _hunt("late", 62),
        _hunt("early", 4, "election_safety", without="kill"),
        _hunt("early", 9, "election_safety", without="pause"),
        _hunt("late", 60, without="kill"),
        _hunt("early", 2, "election_safety", world="live"),
        _hunt("late", 7, world="live"),
    ],
    mutants={"early": ["election_safety"], "late": ["recovery"], "never hunted": []},
    invariants=["election_safety", "recovery", "durability"],
)


def test_who_convicts_whom_and_after_how_many_seeds() -> None:
    rows = {row[0]: row[1:] for row in matrix_tables(VIEW)[0].rows}
    assert rows["early"] == ["2/2", "2", "1.0", "election_safety 100%, recovery 50%"]
    assert rows["late"] == ["1/3", "> 62", "> 31", "recovery 33%"]
    assert "never hunted" not in rows


def test_what_each_invariant_and_each_kind_is_needed_for() -> None:
    _, invariants, kinds, worlds = matrix_tables(VIEW)
    assert [row[1:] for row in invariants.rows] == [
        ["1", "0", "redundant here"],
        ["2", "1", "late"],
    ]
    assert invariants.note.endswith("Not listed, since they convict none of these: durability.")
    assert kinds.rows == [["kill", "2", "0", ""], ["pause", "1", "1", "early"]]
    assert worlds.rows == [["early", "election_safety after 2 seeds, 1 s"], ["late", "not after 7 seeds, 4 s"]]


def test_the_page_has_a_cell_for_each_pair() -> None:
    page = matrix_html(VIEW, "raft-chaos matrix")
    assert page.count('class="expected') == 2 and "late, recovery: in 33 % of its hunts" in page
    assert "durability</span>" not in page, "no column for an invariant that convicts nobody"
    assert "2 of 2 mutants convicted, by 2 invariants" in page
    assert matrix_markdown(VIEW, "raft-chaos matrix").count("\n## ") == 4
    assert any("Who convicts whom" in line for line in matrix_page(VIEW, 80))
