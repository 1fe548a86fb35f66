"""The page of several runs: a cell for each seed, failures in groups, links to the reports that exist."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

import report_builders as sample
from raft_chaos.invariants.exposure import Exposure
from raft_chaos.invariants.rundir import RunDir
from raft_chaos.invariants.verdict import Outcome
from raft_chaos.reports.campaign.seeds import SeedTotals
from raft_chaos.reports.html.campaign import MOST_CELLS, MOST_OF_A_GROUP, campaign_page, seeds_page
from raft_chaos.reports.run.model import build


@dataclass
class Result:
    """One seed of an invented campaign."""

    seed: int
    verdict: Outcome = "valid"
    violated: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    vacuous: list[str] = field(default_factory=list)
    stats: dict[str, float | int | str] = field(default_factory=dict)
    run: str | None = None
    repro: str = ""
    found: str = ""
    exposure: list[Exposure] = field(default_factory=list)
    baseline: dict[str, int] = field(default_factory=dict)


def of_seeds(results: list[Result], folder: Path) -> str:
    totals = SeedTotals(world="sim", target="raft", seeds="1..9", total=len(results))
    for result in results:
        totals.observe(result)
    return seeds_page(totals, results, folder)


def cells(page: str, verdict: str) -> list[str]:
    """What the cells of that verdict show, in the part with all seeds."""
    every = page[
        page.index('aria-labelledby="seeds"><') if 'aria-labelledby="seeds"><' in page else page.index('id="seeds"') :
    ]
    return re.findall(rf'class="cell {verdict}"[^>]*>(\d+)<', every[every.index("</ul>") :])


def test_each_run_is_a_cell_and_each_failure_is_in_a_group(violated: RunDir, valid: RunDir, vacuous: RunDir) -> None:
    (violated.path / "report.html").write_text("its page")
    page = campaign_page([build(run) for run in (violated, valid, vacuous)])
    assert (cells(page, "valid"), cells(page, "unknown"), cells(page, "violated")) == (["7"], ["9"], ["42"])
    assert f'href="{violated.path}/report.html"' in page
    assert "n1 and n3 both led term 2" in page and "had no effect" in page
    assert sample.REPRO in page
    assert page.count("<a ") == 3, "to the content, and twice to the one report that there is"


def test_seeds_that_failed_alike_share_a_group(tmp_path: Path) -> None:
    many = [Result(n, "unknown", vacuous=[f"only {n} of 10 operations were served"]) for n in range(1, 40)]
    other = [Result(50, "violated", violated=["log_matching"], repro="raft-chaos run --seed 50"), Result(51)]
    page = of_seeds([*many, *other], tmp_path)
    heads = re.findall(r"<h3>([^<]+)</h3>", page)
    assert heads == ["log_matching, 1 seed", "unknown, 39 seeds"]
    assert "only 1 of 10 operations were served" in page and f"and {39 - MOST_OF_A_GROUP} more" in page
    assert "raft-chaos run --seed 50" in page


def test_the_comparison_with_our_raft_is_a_table(tmp_path: Path) -> None:
    compared = [Result(n, stats={"elections": n + 1}, baseline={"elections": n}) for n in (1, 2)]
    page = of_seeds(compared, tmp_path)
    assert "Leader changes, against our Raft without the mistake" in page and "+1.00 to +1.00" in page
    assert "Leader changes" not in of_seeds([Result(1, stats={"elections": 3})], tmp_path)


def test_a_run_that_moved_with_its_campaign_is_found(violated: RunDir) -> None:
    (violated.path / "report.html").write_text("its page")
    gone = Result(42, "violated", violated=["election_safety"], run=f"elsewhere/{violated.path.name}")
    page = of_seeds([gone], violated.path.parent)
    assert f'href="{violated.path}/report.html"' in page and "n1 and n3 both led term 2" in page


def test_a_campaign_of_any_size_has_a_page_of_bounded_size(tmp_path: Path) -> None:
    results = [Result(n) for n in range(MOST_CELLS + 100)] + [Result(10**6, "unknown", vacuous=["why"])]
    page = of_seeds(results, tmp_path)
    assert len(cells(page, "valid")) == MOST_CELLS - 1 and cells(page, "unknown") == ["1000000"]
    assert "101 more seeds" in page and len(page) < 1_000_000


def test_no_text_is_markup(tmp_path: Path) -> None:
    evil = "<script>alert(1)</script>"
    page = of_seeds(
        [Result(1, "violated", violated=[evil], repro=evil), Result(2, "unknown", vacuous=[evil])], tmp_path
    )
    assert page.count("<script") == 1
