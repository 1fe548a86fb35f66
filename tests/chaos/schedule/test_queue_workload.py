"""The workload of a queue: only for targets that have one, every element once, several clients at a time."""

from __future__ import annotations

from collections import Counter
from itertools import groupby

import pytest

from raft_chaos.chaos.faults.abilities import ALL, OF_QUEUES, Abilities
from raft_chaos.chaos.schedule.check import check_schedule
from raft_chaos.chaos.schedule.config import ScheduleConfig
from raft_chaos.chaos.schedule.data import Schedule
from raft_chaos.chaos.schedule.fitting import lacking
from raft_chaos.chaos.schedule.generate import generate

QUEUE: Abilities = frozenset({*OF_QUEUES, "kill", "pause", "cut"})
SEEDS = range(8)


def of(seed: int, can: Abilities | None, clients: int = 5) -> Schedule:
    abilities = None if can is None else tuple(sorted(can))
    return generate(seed, ScheduleConfig(can=abilities, clients=clients, features=()))


def test_a_queue_gets_enqueues_and_dequeues_alone() -> None:
    for seed in SEEDS:
        schedule = of(seed, QUEUE)
        check_schedule(schedule)
        assert lacking(schedule, QUEUE) == []
        functions = Counter(operation.f for operation in schedule.operations)
        assert set(functions) == {"enqueue", "dequeue"}
        assert 1 < functions["enqueue"] / functions["dequeue"] < 2
        assert 0.8 < len(schedule.operations) / (25 * 100) < 1.2


def test_every_element_is_put_in_once() -> None:
    for seed in SEEDS:
        values = [operation.value for operation in of(seed, QUEUE).operations if operation.f == "enqueue"]
        assert len(set(values)) == len(values)


def test_now_and_then_all_clients_do_the_same_at_one_moment() -> None:
    for seed in SEEDS:
        moments = [list(some) for _, some in groupby(of(seed, QUEUE).operations, lambda operation: operation.at_us)]
        together = [some for some in moments if len(some) == 5]
        assert len(together) > 20
        assert all(len({operation.f for operation in some}) == 1 for some in together)
        assert all(len({operation.client for operation in some}) == 5 for some in together)
        assert {some[0].f for some in together} == {"enqueue", "dequeue"}


def test_another_client_moves_nothing_of_the_others() -> None:
    def own(clients: int) -> list[object]:
        config = ScheduleConfig(can=tuple(sorted(QUEUE)), clients=clients, ops_per_second=10.0 * clients)
        return [operation for operation in generate(3, config).operations if operation.client == "c0"]

    assert own(2) == own(5)


def test_a_target_with_both_has_half_of_each() -> None:
    both = of(1, ALL - {"events"} | QUEUE)
    check_schedule(both)
    on_queue = sum(operation.f in OF_QUEUES for operation in both.operations)
    assert 0.4 < on_queue / len(both.operations) < 0.6


@pytest.mark.parametrize("half", OF_QUEUES)
def test_a_target_without_a_whole_queue_has_the_same_schedule_as_before(half: str) -> None:
    for seed in SEEDS:
        assert of(seed, ALL) == of(seed, None)
        assert of(seed, ALL | {half}) == of(seed, None)


def test_a_saved_schedule_with_a_queue_is_refused_for_a_target_without() -> None:
    assert [said.split(" asks")[1] for said in lacking(of(1, QUEUE), ALL)] == [" for 'dequeue'", " for 'enqueue'"]
