"""The ends of safety phases: how many seeds have which, and that nothing else happens meanwhile."""

from __future__ import annotations

from msgspec.structs import replace

from raft_chaos.chaos.faults.catalogue import LIVE_KINDS, VIRTUAL_KINDS
from raft_chaos.chaos.faults.grudge import cut_links, resolve
from raft_chaos.chaos.faults.membership import Membership
from raft_chaos.chaos.faults.names import LEADER, OTHERS
from raft_chaos.chaos.faults.partition import Partition
from raft_chaos.chaos.schedule.check import check_schedule
from raft_chaos.chaos.schedule.config import ScheduleConfig, least_duration_s
from raft_chaos.chaos.schedule.data import Fault, Schedule
from raft_chaos.chaos.schedule.endings import EACH_SHARE, OF_FEATURES_SHARE
from raft_chaos.chaos.schedule.generate import episodes_of, generate
from raft_chaos.chaos.schedule.steered.catalogue import LATER_OF_FEATURES, OF_FEATURES, episode_of
from raft_chaos.chaos.schedule.swarm import draw

UNIT_US = 300_000
SWARM = ScheduleConfig(nodes=0, warmup_s=1.5, duration_s=15, ops_per_second=1, faults=tuple(VIRTUAL_KINDS), swarm=True)
SEEDS = range(1, 101)


def standing(schedule: Schedule, lasts_us: int = 25 * UNIT_US) -> Fault | None:
    """The last fault, if it is a partition that takes so long and begins so long before the end."""
    last, until_us = schedule.faults[-1], schedule.header.safety_until_us
    stands = (last.when.at_us, last.duration_us) == (until_us - lasts_us, lasts_us)
    return last if isinstance(last.action, Partition) and stands else None


def ends_us(fault: Fault, schedule: Schedule) -> int:
    """When a fault ends that has a time, or follows one that has."""
    begins_us = {one.id: one.when.at_us for one in schedule.faults}
    begin_us = fault.when.at_us if not fault.when.since else begins_us[fault.when.since]
    assert begin_us is not None
    return begin_us + fault.when.after_us + fault.action.lasts_us(fault.duration_us)


SCHEDULES = [schedule for seed in SEEDS if standing(schedule := generate(seed, SWARM))]


def test_about_one_seed_of_twelve_has_one() -> None:
    assert 4 <= len(SCHEDULES) <= 20


def test_nothing_else_happens_meanwhile() -> None:
    for schedule in SCHEDULES:
        *earlier, last = schedule.faults
        assert last.when.at_us is not None
        assert last.when.at_us + last.duration_us == schedule.header.safety_until_us
        for fault in earlier:
            assert ends_us(fault, schedule) <= last.when.at_us
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


# ---- episodes of features -------------------------------------------------------------------------------------------

NAMES = {episode.name: episode for episode in (*OF_FEATURES, *LATER_OF_FEATURES)}
MANY = range(1, 401)


def ending(schedule: Schedule) -> list[str]:
    """The names of the episodes of features in it, in the order of time."""
    return list(dict.fromkeys(name for fault in schedule.faults if (name := episode_of(fault.id)) in NAMES))


ENDINGS = {seed: schedule for seed in MANY if ending(schedule := generate(seed, SWARM))}


def test_some_seeds_end_with_episodes_of_what_their_nodes_have() -> None:
    assert {name for schedule in ENDINGS.values() for name in ending(schedule)} == {*NAMES}
    assert any(len(ending(schedule)) > 1 for schedule in ENDINGS.values())
    for seed, schedule in ENDINGS.items():
        check_schedule(schedule)
        features, names = schedule.header.features, ending(schedule)
        assert all(NAMES[name].exists_with(features) for name in names)
        assert [NAMES[name].stands for name in names].count(True) <= 1
        assert not any(NAMES[name].stands for name in names[1:])
        assert {*names} <= {*episodes_of(seed, SWARM).values()}


def test_each_of_them_is_drawn_in_the_same_share_of_the_seeds_that_may_have_it() -> None:
    may_end = [
        swarm
        for seed in MANY
        if not ((swarm := draw(seed, SWARM)).steered or swarm.quiet or swarm.early)
        and not standing(generate(seed, SWARM))
    ]
    alone = replace(SWARM, features=("cache_bytes",))
    there = [ending(generate(seed, alone)) for seed in MANY]
    assert {tuple(names) for names in there} == {(), ("unreadable_entries",)}
    share = sum(map(bool, there)) / len(may_end)
    assert abs(share - OF_FEATURES_SHARE * EACH_SHARE) < 0.1


def test_all_other_faults_come_before_them_and_the_required_ones_have_room() -> None:
    for schedule in ENDINGS.values():
        first = next(fault for fault in schedule.faults if episode_of(fault.id) in NAMES)
        from_us = first.when.at_us
        assert from_us is not None and from_us / 1e6 >= least_duration_s(SWARM.warmup_s, UNIT_US)
        for fault in schedule.faults:
            if episode_of(fault.id) not in NAMES:
                assert ends_us(fault, schedule) <= from_us


def test_a_seed_that_is_steered_or_has_a_partition_that_stands_has_none() -> None:
    for seed, schedule in ENDINGS.items():
        swarm = draw(seed, SWARM)
        assert not (swarm.steered or swarm.quiet or swarm.early or standing(schedule))


def test_an_episode_whose_kinds_or_features_are_not_there_is_no_ending() -> None:
    seeds = list(ENDINGS)[:60]
    cuts = replace(SWARM, faults=("partition", "membership"))
    assert {name for seed in seeds for name in ending(generate(seed, cuts))} == {"lost_change"}
    plain = replace(SWARM, features=())
    assert not any(ending(generate(seed, plain)) for seed in seeds)
    assert not any(ending(generate(seed, replace(SWARM, duration_s=4))) for seed in seeds)


def test_real_time_has_them_too() -> None:
    config = ScheduleConfig(warmup_s=1.5, duration_s=20, ops_per_second=1, faults=LIVE_KINDS)
    found = {name for seed in MANY for name in ending(generate(seed, config))}
    assert found == {*NAMES}


def test_no_change_of_the_members_that_may_be_done_late_comes_before_what_stands() -> None:
    stands = [schedule for schedule in ENDINGS.values() if NAMES[ending(schedule)[0]].stands] + SCHEDULES
    for schedule in stands:
        assert not any(fault.action.outlasts_itself for fault in schedule.faults if not episode_of(fault.id))
    others = [schedule for schedule in ENDINGS.values() if schedule not in stands]
    assert any(isinstance(fault.action, Membership) for schedule in others for fault in schedule.faults)
