"""Variants of schedules: valid, the same after saving, and each change does what its name says."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
from msgspec.structs import replace

from builders.campaigns import settings
from raft_chaos.chaos.exploration.variants import CHANGES, in_order, spliced, varied
from raft_chaos.chaos.faults.at_rest import BitFlip
from raft_chaos.chaos.faults.process import Kill
from raft_chaos.chaos.schedule.data import Fault, Schedule, When
from raft_chaos.chaos.schedule.file import load, save

FIRST, SECOND = settings().make_schedule(1), settings().make_schedule(2)


def with_faults(*faults: Fault) -> Schedule:
    return replace(FIRST, faults=list(faults))


def kill(name: str, node: str, at_us: int) -> Fault:
    return Fault(id=name, when=When(at_us=at_us), action=Kill([node], [50_000]), duration_us=50_000)


@pytest.mark.parametrize("change", CHANGES)
def test_each_change_is_pure_and_changes_something(change: str) -> None:
    made = [CHANGES[change](FIRST, Random(seed)) for seed in range(5)]
    assert made == [CHANGES[change](FIRST, Random(seed)) for seed in range(5)]
    assert any(one != FIRST for one in made)


def test_a_saved_variant_is_the_same_schedule(tmp_path: Path) -> None:
    for seed in range(20):
        variant, _ = varied(FIRST, Random(seed))
        save(variant, tmp_path / "schedule.jsonl")
        assert load(tmp_path / "schedule.jsonl") == variant


def test_a_splice_has_early_faults_of_one_and_late_ones_of_the_other() -> None:
    early, late = kill("f01", "n1", 1_100_000), kill("f01", "n2", 2_499_999)
    found = {
        tuple((fault.id, *fault.action.nodes) for fault in spliced(with_faults(early), with_faults(late), rng).faults)
        for rng in map(Random, range(20))
    }
    assert (("f01", "n1"), ("f01-2", "n2")) in found


def test_an_episode_comes_again_as_a_whole() -> None:
    first = kill("f01", "n1", 1_500_000)
    second = replace(kill("f02", "leader@f01", 0), when=When(since="f01", after_us=7))
    made = {
        tuple((fault.id, *fault.action.nodes, fault.when.since) for fault in in_order(one).faults)
        for one in (CHANGES["again"](with_faults(first, second), Random(seed)) for seed in range(9))
    }
    copied = (("f01", "n1", ""), ("f01-2", "n1", ""), ("f02", "leader@f01", "f01"), ("f02-2", "leader@f01-2", "f01-2"))
    assert copied in made


def test_a_fault_that_is_no_longer_valid_goes() -> None:
    nobody = kill("f02", "n9", 1_500_000)
    assert in_order(with_faults(nobody, kill("f01", "n1", 1_500_000))) == with_faults(kill("f01", "n1", 1_500_000))


def test_the_fault_that_goes_may_have_any_name() -> None:
    odd = kill("f01: n1", "n9", 1_500_000)
    assert in_order(with_faults(odd, kill("f02", "n1", 1_500_000))) == with_faults(kill("f02", "n1", 1_500_000))


def test_no_more_nodes_are_damaged_than_a_quorum_can_bear() -> None:
    flips = [
        Fault(id=f"f0{number}", when=When(at_us=1_500_000), action=BitFlip([node], 500, 50_000), duration_us=50_000)
        for number, node in enumerate(("n1", "n2", "n3"))
    ]
    assert in_order(with_faults(*flips)).faults == flips[:1]


def test_retargeting_swaps_two_names_wherever_they_stand() -> None:
    faults = [fault for fault in SECOND.faults if fault.action.kind() == "partition"]
    assert faults
    made = [CHANGES["retargeted"](replace(SECOND, faults=faults[:1]), Random(seed)) for seed in range(10)]
    for one in made:
        assert in_order(one) == one  # nobody stands twice in it, and nobody is unknown
