"""A schedule without a kind of fault, or without an episode, is otherwise the same."""

from __future__ import annotations

import pytest

from raft_chaos.chaos.faults.catalogue import FAULT_KINDS, VIRTUAL_KINDS
from raft_chaos.chaos.schedule.check import check_schedule
from raft_chaos.chaos.schedule.config import ScheduleConfig
from raft_chaos.chaos.schedule.generate import episodes_of, generate
from raft_chaos.chaos.schedule.left_out import EPISODES, left_out, parts_in

CONFIG = ScheduleConfig(nodes=0, swarm=True, faults=VIRTUAL_KINDS, warmup_s=1.5, duration_s=15, ops_per_second=1)


def test_each_part_has_a_name_of_its_own() -> None:
    assert len({*EPISODES, *FAULT_KINDS}) == len(EPISODES) + len(FAULT_KINDS)


@pytest.mark.parametrize("seed", range(1, 13))
def test_what_is_left_is_as_it_was(seed: int) -> None:
    schedule, episodes = generate(seed, CONFIG), episodes_of(seed, CONFIG)
    ids = [fault.id for fault in schedule.faults]
    assert {*episodes} <= {*ids} and {*episodes.values()} <= {*EPISODES}
    for part in parts_in(schedule, episodes):
        less = left_out(schedule, episodes, part)
        check_schedule(less)
        assert part not in parts_in(less, episodes)
        assert less.operations == schedule.operations
        left = [fault for fault in schedule.faults if fault in less.faults]
        assert left == less.faults and len(left) < len(ids)


def test_every_episode_is_met() -> None:
    met = {name for seed in range(150) for name in episodes_of(seed, CONFIG).values()}
    assert met == {*EPISODES}
