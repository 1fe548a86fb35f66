"""The partition that stands: how many seeds have one, what it leaves whole, and that nothing else happens meanwhile."""

from __future__ import annotations

from msgspec.structs import replace

from raft_chaos.chaos.faults.catalogue import LIVE_KINDS, VIRTUAL_KINDS
from raft_chaos.chaos.faults.grudge import cut_links, resolve
from raft_chaos.chaos.faults.names import LEADER, OTHERS
from raft_chaos.chaos.faults.partition import Partition
from raft_chaos.chaos.schedule.config import ScheduleConfig
from raft_chaos.chaos.schedule.data import Fault, Schedule
from raft_chaos.chaos.schedule.generate import generate

UNIT_US = 300_000
SWARM = ScheduleConfig(nodes=0, warmup_s=1.5, duration_s=15, ops_per_second=1, faults=tuple(VIRTUAL_KINDS), swarm=True)
SEEDS = range(1, 101)


def standing(schedule: Schedule, lasts_us: int = 25 * UNIT_US) -> Fault | None:
    """The last fault, if it is a partition that takes so long and begins so long before the end."""
    last, until_us = schedule.faults[-1], schedule.header.safety_until_us
    stands = (last.when.at_us, last.duration_us) == (until_us - lasts_us, lasts_us)
    return last if isinstance(last.action, Partition) and stands else None


SCHEDULES = [schedule for seed in SEEDS if standing(schedule := generate(seed, SWARM))]


def test_about_one_seed_of_twelve_has_one() -> None:
    assert 4 <= len(SCHEDULES) <= 20


def test_nothing_else_happens_meanwhile() -> None:
    for schedule in SCHEDULES:
        *earlier, last = schedule.faults
        assert last.when.at_us is not None
        assert last.when.at_us + last.duration_us == schedule.header.safety_until_us
        for fault in earlier:
            assert fault.when.at_us is not None
            assert fault.when.at_us + fault.action.lasts_us(fault.duration_us) <= last.when.at_us
        assert len({fault.id for fault in schedule.faults}) == len(schedule.faults)


def test_a_deaf_leader_is_heard_by_so_many_that_the_rest_is_no_majority() -> None:
    deaf = [schedule for schedule in SCHEDULES if getattr(schedule.faults[-1].action, "shape", "") == "one_way"]
    assert deaf
    for schedule in deaf:
        nodes, action = schedule.header.nodes, schedule.faults[-1].action
        assert isinstance(action, Partition)
        for leader in (node for node in nodes if node in action.grudge):  # the others are those that hear the leader
            others = [node for node in nodes if node != leader]
            cut = cut_links(resolve(action.grudge, nodes, {LEADER: [leader], OTHERS: others}))
            assert [sender for sender, receiver in cut if receiver == leader] == others
            far = [receiver for sender, receiver in cut if sender == leader]
            assert 1 <= len(far) <= len(nodes) // 2


def test_real_time_has_room_for_its_longer_bound() -> None:
    config = ScheduleConfig(warmup_s=1.5, duration_s=15, ops_per_second=1, faults=LIVE_KINDS)
    found = [fault for seed in SEEDS if (fault := standing(generate(seed, config), 11_000_000))]
    assert found


def test_none_without_room_without_partitions_or_without_events() -> None:
    without = [
        replace(SWARM, duration_s=8),
        replace(SWARM, faults=("kill", "pause")),
        replace(SWARM, can=("cut", "kill", "leader")),
    ]
    for config in without:
        assert not any(standing(generate(seed, config)) for seed in SEEDS if seed % 4 == 0)
