"""The page of a campaign of many seeds, from invented results, so that every number is known."""

from __future__ import annotations

import random
from collections.abc import Iterable

import pytest

from raft_chaos.chaos.campaign.seed import run_seed
from raft_chaos.chaos.campaign.seed_result import SeedResult
from raft_chaos.chaos.run.settings import Settings
from raft_chaos.chaos.schedule.config import ScheduleConfig
from raft_chaos.invariants.exposure import Exposure
from raft_chaos.invariants.verdict import Outcome
from raft_chaos.raft.state.timing import Timing
from raft_chaos.reports.campaign.seeds import HAPPENED, Amount, SeedTotals, seeds_document, seeds_markdown, seeds_text


def result(seed: int, verdict: Outcome = "valid", **more: object) -> SeedResult:
    fields: dict[str, object] = {
        "violated": ["log_matching"] if verdict == "violated" else [],
        "unknown": [],
        "vacuous": [f"only {seed} of 10 operations were served"] if verdict == "unknown" else [],
        "trace_sha256": "",
        "stats": {"simulated_s": 1800.0, "elections": seed, "max_term": 10 * seed, "torn_writes": 0, "words": "x"},
        "run": None if verdict == "valid" else f"runs/20260101T000000-{seed}",
        "repro": "" if verdict == "valid" else f"raft-chaos run --seed {seed}",
        **more,
    }
    return SeedResult(seed=seed, verdict=verdict, **fields)  # type: ignore[arg-type]


def totals(results: Iterable[SeedResult], total: int | None = None, seeds: str = "1..4") -> SeedTotals:
    every = list(results)
    made = SeedTotals(world="sim", target="raft", seeds=seeds, total=len(every) if total is None else total)
    for one in every:
        made.observe(one)
    return made


def row(page: str, name: str) -> list[str]:
    (line,) = [line for line in page.splitlines() if line.startswith(name + "  ")]
    return line.removeprefix(name).split()


def test_faults_that_never_have_an_effect_are_named() -> None:
    kill = Exposure(kind="kill", planned=5, injected=4, effective=3, in_election=2, nodes=6)
    clog = Exposure(kind="clog", planned=1, injected=1)
    page = seeds_text(totals([result(1, exposure=[kill, clog]), result(2, exposure=[kill])]))
    assert row(page, "kill") == ["10", "8", "6", "4", "12"]
    assert row(page, "clog") == ["1", "1", "0", "0", "0"]
    assert "INERT: no fault of the kind clog had an effect, so this says nothing about it." in page.replace("\n  ", " ")
    document = seeds_document(totals([result(1, exposure=[clog])]))
    assert document["faults"] == [
        {"kind": "clog", "planned": 1, "injected": 1, "effective": 0, "in_election": 0, "nodes": 0}
    ]


def test_failures_of_one_shape_are_one_group_with_the_lowest_seed_as_its_example() -> None:
    def led(seed: int, term: int) -> SeedResult:
        return result(seed, "violated", violated=["election_safety"], found=f"n1 and n{seed} both led term {term}")

    lost = result(8, "violated", violated=["durability"], found="n2 lost entry 5 (digest 0123456789abcdef)")
    again = result(
        6, "violated", violated=["durability", "recovery"], found="n4 lost entry 7 (digest fedcba9876543210)"
    )
    forward, back = (
        totals([led(9, 1), led(3, 2), led(7, 4), lost, again]),
        totals([again, lost, led(3, 2), led(7, 4), led(9, 1)]),
    )
    assert forward.groups == back.groups
    groups = seeds_document(forward)["groups"]
    assert [(one["invariant"], one["seeds"], one["first"], one["sentence"]) for one in groups] == [
        ("election_safety", 3, [3, 7, 9], "n1 and n3 both led term 2"),
        ("durability", 2, [6, 8], "n4 lost entry 7 (digest fedcba9876543210)"),
    ]
    assert groups[0]["repro"] == "raft-chaos run --seed 3"
    assert "Failures by cause" in seeds_text(forward) and "n1 and n3 both led term 2" in seeds_text(forward)


def test_a_result_of_an_earlier_version_has_no_cause() -> None:
    page = seeds_text(totals([result(1, "violated")]))
    assert "Failures by cause" not in page and "Faults" not in page


def test_a_valid_campaign_says_what_happened_in_it() -> None:
    page = seeds_text(totals(result(seed) for seed in range(1, 5)))
    lines = page.splitlines()
    assert lines[0] == "VALID seeds 1..4 (sim, raft, 4 seeds: 4 valid; 2 simulated hours)"
    assert lines[-1] == "seeds 1..4: valid"
    assert row(page, "leaders elected") == ["10", "2.50", "4", "4"]
    assert row(page, "highest term") == ["25", "40", "4"], "a sum of terms would say nothing"
    assert row(page, "of these, torn writes") == ["0", "0", "0", "0"], "what never happened is told"
    assert "restarts" not in page, "what was never counted is not said to have been none"
    assert "Reproduce" not in page


def test_a_violation_comes_first_and_its_command_last() -> None:
    campaign = totals([result(9, "unknown"), result(7, "violated"), result(3, "violated"), result(1)])
    page = seeds_text(campaign)
    lines = page.splitlines()
    assert lines[0].startswith("VIOLATED seeds 1..4 (sim, raft, 4 seeds: 2 violated, 1 unknown, 1 valid")
    assert lines[-3:] == [
        "First violated: seed 3, saved in runs/20260101T000000-3",
        "Reproduce:",
        "raft-chaos run --seed 3",
    ]
    assert row(page, "log_matching") == ["2", "3,", "7"]
    assert page.index("Violated\n") < page.index("Unknown\n") < page.index("What happened\n")
    assert (campaign.verdict, campaign.exit_code) == ("violated", 1)


def test_reasons_that_differ_in_numbers_alone_are_one() -> None:
    unsure = result(20, "unknown", vacuous=[], unknown=["client_history"])
    campaign = totals([*(result(seed, "unknown") for seed in (8, 2, 11, 5, 3, 7)), unsure])
    page = seeds_text(campaign)
    assert row(page, "only # of # operations were served") == ["6", "2,", "3,", "5,", "7,", "8", "..."]
    assert row(page, "client_history could not be judged") == ["1", "20"]
    assert page.splitlines()[-1] == "raft-chaos run --seed 2"
    assert campaign.exit_code == 2


def test_the_order_in_which_seeds_end_does_not_matter() -> None:
    results = [result(seed, ("valid", "unknown", "violated")[seed % 3]) for seed in range(40)]  # type: ignore[arg-type]
    pages = set()
    for shuffle in range(5):
        random.Random(shuffle).shuffle(results)
        pages.add(seeds_text(totals(results)))
    assert len(pages) == 1


@pytest.mark.parametrize(
    ("verdicts", "total", "failures", "verdict", "code"),
    [
        (["valid"], 1, 0, "valid", 0),
        (["valid"], 2, 0, "unknown", 2),
        ([], 1, 0, "unknown", 2),
        (["valid", "unknown"], 2, 0, "unknown", 2),
        (["violated", "unknown"], 3, 0, "violated", 1),
        (["valid"], 2, 1, "unknown", 255),
        (["unknown"], 2, 1, "unknown", 255),
        (["violated"], 2, 1, "violated", 1),
    ],
)
def test_the_exit_code(verdicts: list[Outcome], total: int, failures: int, verdict: Outcome, code: int) -> None:
    campaign = totals((result(seed, one) for seed, one in enumerate(verdicts, 1)), total)
    for number in range(failures):
        campaign.observe_failure(100 + number, "KeyError: 'x'", f"raft-chaos run --seed {100 + number}")
    assert (campaign.verdict, campaign.exit_code) == (verdict, code)
    document = seeds_document(campaign)
    assert (document["verdict"], document["complete"]) == (verdict, len(verdicts) == total)


def test_a_campaign_that_was_stopped_says_so() -> None:
    campaign = totals([result(1)], total=1000, seeds="1..1000")
    campaign.stopped = "interrupted"
    page = seeds_text(campaign, width=200)
    assert page.startswith("UNKNOWN seeds 1..1000 (sim, raft, 1 of 1000 seeds: 1 valid; 0.50 simulated hours)\n")
    assert "STOPPED: interrupted. The same command continues with the seeds that have no result.\n" in page
    assert page.splitlines()[-1] == "seeds 1..1000: unknown, 1 of 1000"


def test_a_failure_of_the_harness_is_no_verdict_on_the_system() -> None:
    campaign = totals([result(2, "unknown")], total=2)
    campaign.observe_failure(8, "KeyError: 'b'", "raft-chaos run --seed 8")
    campaign.observe_failure(5, "KeyError: 'a'", "raft-chaos run --seed 5")
    page = seeds_text(campaign)
    assert "HARNESS FAILED: this says nothing about the system under test." in page
    assert page.splitlines()[-3:] == ["First failure of the harness: seed 5", "Reproduce:", "raft-chaos run --seed 5"]
    assert seeds_document(campaign)["harness_failures"] == [
        {"seed": 5, "error": "KeyError: 'a'", "repro": "raft-chaos run --seed 5"},
        {"seed": 8, "error": "KeyError: 'b'", "repro": "raft-chaos run --seed 8"},
    ]


def test_the_document_has_all_statistics_and_no_sums_of_the_highest() -> None:
    document = seeds_document(totals([result(1), result(2, "violated", stats={"max_term": 7, "odd": 3})]))
    assert document["stats"] == {
        "simulated_s": {"total": 1800.0, "most": 1800.0, "seeds": 1},
        "elections": {"total": 1, "most": 1, "seeds": 1},
        "max_term": {"total": None, "most": 10, "seeds": 2},
        "torn_writes": {"total": 0, "most": 0, "seeds": 0},
        "odd": {"total": 3, "most": 3, "seeds": 1},
    }
    assert document["violations"] == [{"name": "log_matching", "seeds": 1, "first": [2]}]
    assert document["first"] == {"seed": 2, "verdict": "violated", "run": "runs/20260101T000000-2"}
    assert (document["valid"], document["violated"], document["repro"]) == (1, 1, "raft-chaos run --seed 2")


def test_the_markdown_has_the_same() -> None:
    page = seeds_markdown(totals([result(1), result(2, "violated")]))
    assert page.startswith("# VIOLATED seeds 1..4 (sim, raft, 2 seeds: 1 violated, 1 valid; 1 simulated hours)\n")
    assert "| log_matching | " in page and "## What happened" in page
    assert page.endswith("Reproduce:\n\n```sh\nraft-chaos run --seed 2\n```\n")


def test_texts_are_wrapped_to_a_narrow_terminal_and_commands_are_not() -> None:
    lines = seeds_text(totals([result(1, "unknown"), result(2, "violated", repro="x" * 90)]), width=40).splitlines()
    assert lines[-1] == "x" * 90
    head = lines[: lines.index("What happened")]
    assert head and all(len(line) <= 40 for line in head)


def test_every_statistic_of_the_table_is_counted_by_a_seed() -> None:
    """A statistic that is renamed must not silently go missing from the page."""
    config = ScheduleConfig(clients=1, warmup_s=0.3, duration_s=1.6, liveness_s=0, election_timeout_us_max=150_000)
    counted = run_seed(Settings(world="sim", schedule=config, timing=Timing(100_000, 150_000, 30_000)), 1, None).stats
    assert set(HAPPENED) <= set(counted)


def test_sums_do_not_depend_on_the_order_of_the_seeds() -> None:
    """A continued campaign takes its results in another order than one that was never stopped."""
    values = [0.1, 0.7, 66.6, 132.6] * 25
    one, other = Amount(), Amount()
    for value in values:
        one.add(value)
    for value in sorted(values):
        other.add(value)
    assert one.total == other.total == 5000.0
