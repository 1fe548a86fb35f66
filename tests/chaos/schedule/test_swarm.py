"""Wide swarms: what each seed draws, that every option is off in some of them, and that the faults keep to it."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from random import Random

import msgspec
import pytest

from raft_chaos.chaos.faults.action import Action, some
from raft_chaos.chaos.faults.catalogue import FAULT_KINDS, KINDS, LIVE_KINDS, FaultKind
from raft_chaos.chaos.faults.clock import Clock, Strobe
from raft_chaos.chaos.faults.disk import SlowSync
from raft_chaos.chaos.faults.network import Network, Reset
from raft_chaos.chaos.faults.partition import Clog, Partition
from raft_chaos.chaos.faults.pause import Pause
from raft_chaos.chaos.faults.process import Kill
from raft_chaos.chaos.schedule.config import ScheduleConfig
from raft_chaos.chaos.schedule.data import Fault, Schedule, ScheduleError, SimModel
from raft_chaos.chaos.schedule.describe import drawn
from raft_chaos.chaos.schedule.file import load, save
from raft_chaos.chaos.schedule.generate import generate
from raft_chaos.chaos.schedule.steered.catalogue import episode_of
from raft_chaos.chaos.schedule.swarm import CLUSTER_SIZES, EVEN_SIZES, Swarm, draw

WIDE = ScheduleConfig(swarm=True, nodes=0, faults=FAULT_KINDS, ops_per_second=0)
UNIT = WIDE.election_timeout_us_max
SEEDS = range(500)

GENERATE = """
import sys, msgspec
from raft_chaos.chaos.faults.catalogue import FAULT_KINDS
from raft_chaos.chaos.schedule.generate import ScheduleConfig, generate
config = ScheduleConfig(swarm=True, nodes=0, faults=FAULT_KINDS)
sys.stdout.buffer.write(msgspec.json.encode([generate(seed, config) for seed in range(7, 10)]))
"""


@cache
def swarms() -> list[Swarm]:
    return [draw(seed, WIDE) for seed in SEEDS]


@cache
def schedules() -> list[Schedule]:
    return [generate(seed, WIDE) for seed in SEEDS]


def every(kind: type[Action]) -> list[Fault]:
    return [fault for schedule in schedules() for fault in schedule.faults if isinstance(fault.action, kind)]


def background(schedule: Schedule) -> list[Fault]:
    return [fault for fault in schedule.faults if isinstance(fault.action, Network) and not episode_of(fault.id)]


# ---- options -----------------------------------------------------------------------------------------------------


def test_the_schedule_does_not_depend_on_the_hash_seed() -> None:
    outputs = []
    for hash_seed in ("0", "4711"):
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        run = subprocess.run([sys.executable, "-c", GENERATE], env=environment, capture_output=True, check=True)
        outputs.append(run.stdout)
    assert outputs[0] == outputs[1] and len(outputs[0]) > 10_000


def test_cluster_sizes_are_drawn_unless_they_are_given() -> None:
    assert {swarm.nodes for swarm in swarms()} == {*CLUSTER_SIZES, *EVEN_SIZES}
    for swarm, schedule in zip(swarms(), schedules(), strict=True):
        assert schedule.header.nodes == [f"n{number}" for number in range(1, swarm.nodes + 1)]
    four = msgspec.structs.replace(WIDE, nodes=4)
    assert [msgspec.structs.replace(draw(seed, four), nodes=0) for seed in range(20)] == [
        msgspec.structs.replace(swarm, nodes=0) for swarm in swarms()[:20]
    ], "everything else is as it was"


@pytest.mark.parametrize(
    ("kind", "option", "most"),
    [
        ("network", "loss", 0.3),
        ("network", "duplicate", 0.5),
        ("network", "reorder", 0.3),
        ("network", "delay_mean_us", 100_000),
        ("clog", "clog_us", 5_000_000),
        ("clock", "clock_ppm", 500_000),
        ("clock", "clock_jump_us", 3_000_000),
        ("strobe", "strobe_offset_us", 3_000_000),
        ("kill", "keep_all", 0.5),
        ("kill", "torn", 0.5),
        ("kill", "failpoint", 0.8),
    ],
)
def test_every_strength_is_off_in_some_seeds_and_near_its_maximum_in_others(
    kind: FaultKind, option: str, most: float
) -> None:
    values = [getattr(swarm.of(kind), option) for swarm in swarms()]
    off = values.count(0) / len(values)
    assert 0.3 < off < 0.5
    assert 0.8 * most < max(values) <= most
    assert min(value for value in values if value) >= 0.0999 * most / 6, "too weak to be noticed, and yet not off"


def test_clocks_are_seldom_off_by_more_than_a_tenth() -> None:
    rates = [ppm for swarm in swarms() if (ppm := swarm.of("clock").clock_ppm)]
    assert 0.02 < sum(rate > 100_000 for rate in rates) / len(rates) < 0.2


@pytest.mark.parametrize("kind", [kind for kind in FAULT_KINDS if kind != "network"])
def test_every_kind_of_single_fault_is_missing_in_some_seeds(kind: FaultKind) -> None:
    present = sum(kind in swarm.kinds for swarm in swarms()) / len(SEEDS)
    # What ends a node is rare, and what needs a feature is no more frequent than that.
    least = 0.05 if KINDS[kind].ends_nodes else 0.2 if KINDS[kind].feature else 0.4
    assert least < present < (0.2 if KINDS[kind].ends_nodes else 0.9)


def test_seeds_differ_in_how_much_they_kill() -> None:
    assert {swarm.kinds.count("kill") for swarm in swarms()} == {0, 1, 2, 3}
    intervals = [swarm.fault_interval_s / WIDE.fault_interval_s for swarm in swarms()]
    assert 0.4 <= min(intervals) < 0.5 and 2 < max(intervals) <= 2.5


def test_one_way_and_two_way_cuts_occur_alone_and_together() -> None:
    drawn_shapes = [swarm.of("partition").shapes for swarm in swarms()]
    found = {("one_way" in shapes, any(shape != "one_way" for shape in shapes)) for shapes in drawn_shapes}
    assert found == {(one_way, both) for one_way in (False, True) for both in (False, True)}


def test_network_and_disk_are_plain_in_half_of_the_seeds_and_slow_in_others() -> None:
    plain, models = SimModel(), [schedule.header.model for schedule in schedules()]
    assert 0.4 < sum(model.sync_max_us == plain.sync_max_us for model in models) / len(models) < 0.6
    assert 0.4 < sum(model.latency_max_us == plain.latency_max_us for model in models) / len(models) < 0.6
    assert 19_000 < max(model.sync_max_us for model in models) <= 20_000
    assert 9_000 < max(model.latency_max_us for model in models) <= 10_000
    assert all(0 <= m.latency_min_us <= m.latency_max_us and 0 <= m.sync_min_us <= m.sync_max_us for m in models)


def test_kinds_that_are_not_requested_do_not_change_the_options_of_others() -> None:
    for seed in range(50):
        all_kinds, live = draw(seed, WIDE), draw(seed, msgspec.structs.replace(WIDE, faults=LIVE_KINDS))
        assert not set(live.kinds) & {"clog", "reset"}
        assert live.of("clog").clog_us == 0
        assert [live.of(kind) for kind in LIVE_KINDS] == [all_kinds.of(kind) for kind in LIVE_KINDS]
        assert live.model == all_kinds.model
    nothing = draw(1, msgspec.structs.replace(WIDE, faults=()))
    assert nothing.kinds == () and nothing.churn == nothing.divided == 0
    assert all(not any(msgspec.structs.astuple(nothing.of(kind))) for kind in FAULT_KINDS)


def test_a_sample_keeps_the_order_of_the_names() -> None:
    for seed in range(20):
        names = some(Random(seed), "abcdefgh", 4)
        assert names == sorted(set(names)) and len(names) == 4


# ---- faults ------------------------------------------------------------------------------------------------------


def test_required_events_come_from_faults_at_fixed_times_without_waiting() -> None:
    for schedule in schedules():
        timed = [fault for fault in schedule.faults if fault.when.at_us is not None]
        assert schedule.header.required == ["leader_killed", "leader_isolated"]
        assert any(
            isinstance(fault.action, Kill) and "leader" in fault.action.nodes and fault.action.failpoint is None
            for fault in timed
        )
        assert any(
            isinstance(fault.action, Partition)
            and fault.action.shape == "isolate_leader"
            and fault.duration_us >= 3 * UNIT
            for fault in timed
        )


def test_faults_at_a_time_begin_and_end_within_the_safety_phase_and_ids_follow_time() -> None:
    for schedule in schedules():
        header, times = schedule.header, []
        for fault in schedule.faults:
            if fault.when.at_us is not None and not episode_of(fault.id):
                assert header.safety_from_us <= fault.when.at_us
                assert fault.when.at_us + fault.duration_us <= header.safety_until_us
                times.append(fault.when.at_us)
        assert times == sorted(times)
        ids = [fault.id for fault in schedule.faults]
        assert ids[0] == "f01" and ids == sorted(set(ids))


def test_background_faults_come_in_windows_and_end_before_the_phase_does() -> None:
    bad_us = all_us = 0
    for swarm, schedule in zip(swarms(), schedules(), strict=True):
        header, at_us = schedule.header, schedule.header.safety_from_us
        windows = background(schedule)
        for fault in windows:
            assert isinstance(fault.action, Network) and fault.action.nodes == header.nodes
            assert fault.when.at_us is not None and fault.when.at_us >= at_us, "one after the other"
            assert fault.duration_us <= 20 * UNIT
            at_us = fault.when.at_us + fault.duration_us
        assert at_us <= header.safety_until_us - 10 * UNIT
        assert all(window.duration_us >= 8 * UNIT for window in windows[:-1])
        if any(msgspec.structs.astuple(swarm.of("network"))) and not swarm.steered:
            bad_us += sum(fault.duration_us for fault in windows)
            all_us += header.safety_until_us - header.safety_from_us
        else:
            assert windows == []
    assert 0.35 < bad_us / all_us < 0.6, "two thirds of what lies before the last window, and before an ending"


def test_background_faults_have_the_options_of_their_seed_and_no_others() -> None:
    for swarm, schedule in zip(swarms(), schedules(), strict=True):
        for fault in background(schedule):
            assert isinstance(fault.action, Network)
            for option in ("loss", "duplicate", "reorder", "delay_mean_us"):
                value, most = getattr(fault.action, option), getattr(swarm.of("network"), option)
                assert 0.29 * most <= value <= most + 0.001


def test_single_faults_are_of_the_kinds_and_strengths_of_their_seed() -> None:
    for swarm, schedule in zip(swarms(), schedules(), strict=True):
        for fault in (fault for fault in schedule.faults if not episode_of(fault.id)):
            match fault.action:
                case Clog():
                    most_us = swarm.of("clog").clog_us
                    assert "clog" in swarm.kinds and min(UNIT // 2, most_us) <= fault.duration_us <= most_us
                case Reset():
                    assert "reset" in swarm.kinds and fault.duration_us == 0
                case Clock(_, rate_ppm, jump_us):
                    assert "clock" in swarm.kinds and (rate_ppm or jump_us)
                    most = swarm.of("clock")
                    assert abs(rate_ppm) <= most.clock_ppm and 0 <= jump_us <= most.clock_jump_us
                case Strobe(_, offset_us, period_us):
                    assert "strobe" in swarm.kinds and 0 < offset_us <= swarm.of("strobe").strobe_offset_us
                    assert 2 * period_us < fault.duration_us, "its clocks go back at least once"
                case Pause():
                    assert "pause" in swarm.kinds
                case Kill(_, _, keep_permille, failpoint):
                    crash = swarm.of("kill")
                    assert (crash.keep_all or crash.torn) or keep_permille == []
                    assert failpoint is None or failpoint in crash.failpoints


def test_single_faults_of_every_kind_occur_over_all_seeds() -> None:
    clocks = [fault.action for fault in every(Clock) if isinstance(fault.action, Clock)]
    assert min(clock.rate_ppm for clock in clocks) < -300_000 and max(clock.rate_ppm for clock in clocks) > 300_000
    periods_us = [fault.action.period_us for fault in every(Strobe) if isinstance(fault.action, Strobe)]
    assert min(periods_us) < UNIT // 16 and max(periods_us) > UNIT
    assert {fault.action.delivered for fault in every(Reset) if isinstance(fault.action, Reset)} == {0.0, 0.5, 1.0}
    links = [list(fault.action.grudge.items()) for fault in every(Clog) if isinstance(fault.action, Clog)]
    assert {len(grudge) for grudge in links} >= {1, 2, 3, 5, 7}
    assert every(Pause) and every(SlowSync)


def test_kills_tear_keep_or_lose_unsynced_bytes_and_use_every_failpoint() -> None:
    kills = [fault.action for fault in every(Kill) if isinstance(fault.action, Kill)]
    kept = [permille for kill in kills for permille in kill.keep_permille]
    assert {0, 1000} < set(kept) and len(set(kept)) > 400
    assert any(kill.keep_permille == [] for kill in kills)
    assert {kill.failpoint for kill in kills} == {
        None,
        "before_report",
        "before_send",
        "mid_send",
        "before_write",
        "before_apply",
        "before_answer",
        "after_sync",
    }
    assert all(len(kill.nodes) == 1 for kill in kills if kill.failpoint is not None), "a power loss waits for nobody"


@pytest.mark.parametrize("kind", FAULT_KINDS)
def test_only_the_requested_kinds_are_drawn(kind: FaultKind) -> None:
    tags = {
        action.__struct_config__.tag
        for seed in range(60)
        for action in (fault.action for fault in generate(seed, msgspec.structs.replace(WIDE, faults=(kind,))).faults)
    }
    assert tags == {kind}


def test_clock_faults_of_real_time_move_no_other_fault() -> None:
    """They are newer there than the first saved seeds."""
    config = ScheduleConfig(ops_per_second=0)
    without = msgspec.structs.replace(
        config, faults=tuple(kind for kind in LIVE_KINDS if kind not in ("clock", "strobe"))
    )

    def drawn_faults(seed: int, config: ScheduleConfig) -> list[tuple[int | None, Action, int]]:
        found = [(fault.when.at_us, fault.action, fault.duration_us) for fault in generate(seed, config).faults]
        return [fault for fault in found if not isinstance(fault[1], Clock | Strobe)]

    for seed in range(20):
        assert drawn_faults(seed, config) == drawn_faults(seed, without)


@pytest.mark.parametrize("kind", ["clog", "reset", "clock"])
def test_a_schedule_without_a_swarm_has_the_virtual_kinds_if_requested(kind: FaultKind) -> None:
    config = ScheduleConfig(ops_per_second=0, faults=("kill", kind))
    made = [generate(seed, config) for seed in range(40)]
    with_kind = sum(any(kind == type(f.action).__struct_config__.tag for f in one.faults) for one in made)
    assert 15 < with_kind < 40
    assert all(schedule.header.swarm == {} for schedule in made)


def test_a_short_safety_phase_has_no_background_faults() -> None:
    shortest = msgspec.structs.replace(WIDE, duration_s=WIDE.warmup_s + 8 * UNIT / 1e6)
    assert [fault for seed in range(50) for fault in background(generate(seed, shortest))] == []


# ---- the schedule as a file, and in words ------------------------------------------------------------------------


def test_every_swarm_survives_being_saved_and_loaded(tmp_path: Path) -> None:
    file = tmp_path / "schedule.jsonl"
    for seed, schedule in list(enumerate(schedules()))[:100]:
        save(schedule, file)
        assert load(file) == schedule
        assert load(file).header.swarm == draw(seed, WIDE).flat()


def test_drawn_names_the_options_that_are_on_and_off() -> None:
    for swarm, schedule in list(zip(swarms(), schedules(), strict=True))[:50]:
        on, off = drawn(schedule)[:2]
        assert on.startswith(f"swarm: nodes {swarm.nodes}, ") and off.startswith("swarm, off: ")
        named = {part.split()[0] for part in on.removeprefix("swarm: ").split(", ")}
        left_out = set(off.removeprefix("swarm, off: ").split(", "))
        assert named | left_out == set(swarm.flat()) and not named & left_out
        assert ("loss" in named) == (swarm.of("network").loss > 0)
        kinds = str(swarm.flat()["kinds"]).split()
        assert [kind for kind in kinds if not kind.endswith("x")] == list(dict.fromkeys(swarm.kinds)), "each once"


def test_drawn_counts_the_virtual_kinds() -> None:
    number = next(n for n, swarm in enumerate(swarms()) if {"clog", "reset", "clock"} <= set(swarm.kinds))
    schedule = schedules()[number]
    lines = {line.split(":")[0]: line for line in drawn(schedule)}
    for kind, action in (("clog", Clog), ("clock", Clock)):
        count = sum(isinstance(fault.action, action) for fault in schedule.faults)
        assert lines[kind].startswith(f"{kind}: {count}, ") if count else kind not in lines


def test_refuses_a_cluster_of_unknown_size_without_a_swarm() -> None:
    with pytest.raises(ScheduleError, match=r"nodes: expected at least 3 .*, 0 only with swarm; got 0"):
        ScheduleConfig(nodes=0)
    with pytest.raises(ScheduleError, match=r"nodes: expected at least 3 .*, 0 for as many as the seed draws; got 2"):
        ScheduleConfig(nodes=2, swarm=True)
