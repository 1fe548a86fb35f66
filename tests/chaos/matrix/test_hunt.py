"""A hunt ends in a conviction, with its budget or after its seeds; one without a part begins where it was convicted."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from raft_chaos.chaos.faults.abilities import OF_NETWORK, OURS
from raft_chaos.chaos.faults.catalogue import KINDS
from raft_chaos.chaos.matrix import hunt as hunt_module
from raft_chaos.chaos.matrix.cells import Cell, Job
from raft_chaos.chaos.matrix.hunt import hunt, settings_of

PLAIN = Cell(mutant="old_term_commit", world="sim")
WITHOUT = Cell(mutant="old_term_commit", world="sim", without="kill")


def convicting(monkeypatch: pytest.MonkeyPatch, seeds: Sequence[int]) -> list[int]:
    """Only these seeds convict. Returns the seeds that are run, as they come."""
    ran: list[int] = []

    def violated(settings: object, seed: int, without: str) -> tuple[list[str], list[str]]:
        ran.append(seed)
        return (["recovery"] if seed in seeds else []), ["kill"]

    monkeypatch.setattr(hunt_module, "_violated", violated)
    return ran


def test_a_hunt_names_all_invariants_and_parts_of_the_convicting_run() -> None:
    found = hunt(Job(cell=Cell(mutant="rollback_committed", world="sim"), start=3), 60)
    assert found is not None and found.seed == 3 and found.seeds == 1
    assert "committed_log_append_only" in found.violated and len(found.violated) > 1
    assert {"kill", "partition"} <= set(found.parts)


def test_a_hunt_ends_with_its_budget_or_after_its_seeds(monkeypatch: pytest.MonkeyPatch) -> None:
    convicting(monkeypatch, [])
    for job, budget_s, seeds in ((Job(cell=PLAIN, start=1), 0, 1), (Job(cell=PLAIN, start=1, most=7), 60, 7)):
        found = hunt(job, budget_s)
        assert found is not None
        assert (found.seed, found.seeds, found.violated, found.parts) == (None, seeds, [], [])
        assert found.settles(job, budget_s)
        assert not found.settles(Job(cell=PLAIN, start=1, most=100), 60), "it gave up sooner than this job would"


def test_a_hunt_that_is_stopped_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    convicting(monkeypatch, [1])
    assert hunt(Job(cell=Cell(mutant="old_term_commit", world="live"), start=1), 60, lambda: True) is None


@pytest.mark.live
@pytest.mark.slow
def test_a_hunt_in_live_runs_real_processes() -> None:
    found = hunt(Job(cell=Cell(mutant="vote_not_persisted", world="live"), start=1), 60)
    assert found is not None and found.violated == ["one_vote_per_term"]


@pytest.mark.parametrize(
    ("convict", "ran", "seed", "seeds"),
    [
        ([7], [7], 7, 3),  # still convicted: no later than with the part
        ([6, 9], [7, 5, 6], 6, 2),  # the part hid it before
        ([9], [7, 5, 6, 8, 9], 9, 5),
        ([99], [7, 5, 6, 8, 9, 10], None, 6),
    ],
)
def test_a_hunt_without_a_part_tries_the_convicting_seed_first(
    monkeypatch: pytest.MonkeyPatch, convict: list[int], ran: list[int], seed: int | None, seeds: int
) -> None:
    seen = convicting(monkeypatch, convict)
    found = hunt(Job(cell=WITHOUT, start=5, first=7, most=6), 60)
    assert found is not None
    assert (seen, found.seed, found.seeds) == (ran, seed, seeds)


def test_a_run_without_a_part_has_none_of_it() -> None:
    settings = settings_of(WITHOUT)
    _, parts = hunt_module._violated(settings, 1, "kill")
    assert "kill" not in parts and "partition" in parts


def test_real_time_has_the_kinds_that_exist_in_it() -> None:
    live, sim = (settings_of(Cell(mutant="old_term_commit", world=world)).schedule for world in ("live", "sim"))
    assert {*live.faults} <= {*sim.faults} and not live.swarm and sim.swarm
    network = OURS | OF_NETWORK["frames"]
    assert all(KINDS[kind].in_live and KINDS[kind].exists(network) for kind in live.faults), (
        "it would end in the middle"
    )
