"""What a target lacks is left out of a schedule, and moves none of the rest."""

from __future__ import annotations

import pytest

from raft_chaos.chaos.faults.abilities import ALL, OF_NETWORK, OPERATIONS, Abilities
from raft_chaos.chaos.faults.catalogue import KINDS
from raft_chaos.chaos.faults.names import LEADER
from raft_chaos.chaos.faults.network import Network
from raft_chaos.chaos.faults.partition import Partition
from raft_chaos.chaos.faults.process import Kill
from raft_chaos.chaos.schedule.check import check_schedule
from raft_chaos.chaos.schedule.config import ScheduleConfig
from raft_chaos.chaos.schedule.data import Schedule
from raft_chaos.chaos.schedule.fitting import fitted, lacking
from raft_chaos.chaos.schedule.generate import generate
from raft_chaos.chaos.schedule.workload import reader

SEEDS = range(12)
TARGETS: dict[str, Abilities] = {
    "all": ALL,
    "registers": frozenset({"get", "put", "kill", "pause", "leader", "term"}) | OF_NETWORK["frames"],
    "no terms": frozenset({*OPERATIONS, "kill", "pause", "leader"}) | OF_NETWORK["frames"],
    "no leader": frozenset({*OPERATIONS, "kill", "pause"}) | OF_NETWORK["frames"],
    "streams": frozenset({"get", "put", "kill", "pause", "leader", "term"}) | OF_NETWORK["tcp"],
    "memory": frozenset({"get", "put", "pause", "leader"}) | OF_NETWORK["netns"],
    "nothing but lists": frozenset({"get", "append", "pause"}),
}


def of(seed: int, can: Abilities | None = None, *, readers: bool = False) -> Schedule:
    config = ScheduleConfig(can=None if can is None else tuple(can), readers=readers, features=(), ops_per_second=30)
    return generate(seed, config)


@pytest.mark.parametrize("target", TARGETS)
def test_a_schedule_asks_for_nothing_that_the_target_lacks(target: str) -> None:
    for seed in SEEDS:
        schedule = of(seed, TARGETS[target])
        assert lacking(schedule, TARGETS[target]) == []
        check_schedule(schedule)
        assert schedule.operations


def test_for_a_target_that_can_do_all_nothing_changes() -> None:
    for seed in SEEDS:
        assert of(seed, ALL) == of(seed)


@pytest.mark.parametrize("target", TARGETS)
def test_what_stays_is_where_it_was(target: str) -> None:
    """Faults keep their ids, times and lengths; operations their ids and times."""
    for seed in SEEDS:
        whole, less = of(seed), of(seed, TARGETS[target])
        faults = {fault.id: (fault.when, fault.duration_us) for fault in whole.faults}
        assert all(faults[fault.id] == (fault.when, fault.duration_us) for fault in less.faults)
        operations = {operation.id: operation.at_us for operation in whole.operations}
        assert all(operations[operation.id] == operation.at_us for operation in less.operations)


def test_a_target_without_terms_has_no_fault_that_waits_for_a_leader() -> None:
    """Leaders are numbered by their terms: the second one would never come, and the run would lack a fault."""
    assert any(fault.when.on == "leader_elected" for seed in SEEDS for fault in of(seed).faults)
    for seed in SEEDS:
        assert all(fault.when.on is None for fault in of(seed, TARGETS["no terms"]).faults)


def test_a_target_that_names_no_leader_gets_a_drawn_node() -> None:
    hit = set()
    for seed in SEEDS:
        schedule = of(seed, TARGETS["no leader"])
        assert schedule.header.required == []
        kills = [fault.action for fault in schedule.faults if isinstance(fault.action, Kill)]
        cuts = [fault.action for fault in schedule.faults if isinstance(fault.action, Partition)]
        assert kills and cuts
        hit |= {kill.nodes[0] for kill in kills if len(kill.nodes) == 1}
    assert hit == {"n1", "n2", "n3", "n4", "n5"}


def test_a_stream_loses_no_bytes_and_keeps_the_delays() -> None:
    seen = 0
    for seed in SEEDS:
        for fault in of(seed, TARGETS["streams"]).faults:
            if isinstance(fault.action, Network):
                seen += 1
                assert fault.action.delay_max_us and not (fault.action.loss or fault.action.reorder)
    assert seen


def test_a_saved_schedule_that_asks_for_more_is_answered_with_a_list() -> None:
    said = " | ".join(line for seed in SEEDS for line in lacking(of(seed), TARGETS["memory"]))
    for part in ("asks for 'kill'", "asks for 'slow_sync'", "which asks for 'term'", "operation", "asks for 'append'"):
        assert part in said
    whole = of(1)
    assert lacking(fitted(whole, TARGETS["memory"]), TARGETS["memory"]) == []


def test_readers_ask_one_node_each_and_move_no_other_operation() -> None:
    with_readers, without = of(3, readers=True), of(3)
    check_schedule(with_readers)
    assert with_readers.header.clients[len(without.header.clients) :] == [reader(node) for node in without.header.nodes]
    readers = [reader(node) for node in without.header.nodes]
    reads = [operation for operation in with_readers.operations if operation.client in readers]
    assert [operation for operation in with_readers.operations if operation.client not in readers] == without.operations
    assert with_readers.faults == without.faults
    for node in without.header.nodes:
        mine = [read for read in reads if read.node == node]
        assert mine and {read.client for read in mine} == {reader(node)} and {read.f for read in mine} == {"get"}


def test_a_majority_of_a_target_that_keeps_its_data_is_killed_at_once_in_most_seeds() -> None:
    """What only memory holds is lost by no smaller fault. Slow syncs, which belong to it, need not be there."""
    can = TARGETS["streams"]
    kinds = tuple(name for name, kind in KINDS.items() if kind.in_live and kind.exists(can))
    found = 0
    for seed in range(40):
        faults = generate(seed, ScheduleConfig(can=tuple(can), faults=kinds)).faults
        found += any(isinstance(fault.action, Kill) and len({*fault.action.nodes} - {LEADER}) >= 3 for fault in faults)
        assert not any(fault.action.kind() == "slow_sync" for fault in faults)
    assert 25 <= found < 40
