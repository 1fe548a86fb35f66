"""Generated schedules: pure functions of seed and config, which contain what a run needs so that it is not vacuous."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from hashlib import blake2b
from pathlib import Path

import msgspec
import pytest

from raft_chaos.chaos.faults.abilities import ALL
from raft_chaos.chaos.faults.catalogue import KINDS, LIVE_KINDS, FaultKind
from raft_chaos.chaos.faults.disk import SlowSync
from raft_chaos.chaos.faults.membership import Membership
from raft_chaos.chaos.faults.network import Network
from raft_chaos.chaos.faults.partition import Partition
from raft_chaos.chaos.faults.pause import Pause
from raft_chaos.chaos.faults.process import Kill
from raft_chaos.chaos.schedule.config import ScheduleConfig
from raft_chaos.chaos.schedule.data import Fault, Operation, Schedule, ScheduleError
from raft_chaos.chaos.schedule.describe import drawn
from raft_chaos.chaos.schedule.file import load, save
from raft_chaos.chaos.schedule.fitting import fitted
from raft_chaos.chaos.schedule.generate import generate
from raft_chaos.chaos.schedule.steered.catalogue import episode_of
from raft_chaos.chaos.schedule.streams import stream, stream_seed
from raft_chaos.chaos.schedule.workload import KEY_LIFE_US

LONG, SHORT = ScheduleConfig(), ScheduleConfig(duration_s=6, warmup_s=1)
FIRST_KINDS = ("kill", "pause", "slow_sync", "partition", "network")
TIMEOUT_US = LONG.election_timeout_us_max
SEEDS = range(40)

GENERATE = """
import sys, msgspec
from raft_chaos.chaos.schedule.generate import ScheduleConfig, generate
sys.stdout.buffer.write(msgspec.json.encode(generate(812, ScheduleConfig(duration_s=40))))
"""


def schedules(*configs: ScheduleConfig) -> list[Schedule]:
    return [generate(seed, config) for config in configs for seed in SEEDS]


def faulty(*configs: ScheduleConfig) -> list[Schedule]:
    """The same schedules without their operations."""
    return schedules(*(msgspec.structs.replace(config, ops_per_second=0) for config in configs))


def by_chance(*configs: ScheduleConfig) -> list[Schedule]:
    """Those of them without steered episodes, which replace others."""
    return [one for one in faulty(*configs) if not any(episode_of(fault.id) for fault in one.faults)]


def is_leader_kill(fault: Fault) -> bool:
    return isinstance(fault.action, Kill) and "leader" in fault.action.nodes


def is_leader_isolation(fault: Fault) -> bool:
    return isinstance(fault.action, Partition) and fault.action.shape == "isolate_leader"


# ---- purity ------------------------------------------------------------------------------------------------------


def test_the_schedule_does_not_depend_on_the_hash_seed() -> None:
    outputs = []
    for hash_seed in ("0", "1", "4711"):
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        run = subprocess.run([sys.executable, "-c", GENERATE], env=environment, capture_output=True, check=True)
        outputs.append(run.stdout)
    here = msgspec.json.encode(generate(812, ScheduleConfig(duration_s=40)))
    assert outputs == [here] * 3


def test_streams_differ_by_seed_and_by_name_and_stay_as_they_are() -> None:
    names = ["workload/c0", "workload/c1", "network/n1>n3/812"]
    assert len({stream_seed(seed, name) for seed in range(100) for name in names}) == 300
    assert stream_seed(7, "workload/c0") == 3746396096849944353, "saved runs depend on it"
    assert stream(7, "workload/c0").random() == stream(7, "workload/c0").random()


def test_the_schedules_of_known_seeds_do_not_change() -> None:
    """Saved commands repeat a run by its seed: a change here makes them all lie. Later kinds come on top."""
    first, now = [], []
    for seed in (1, 812):
        schedule = generate(seed, msgspec.structs.replace(LONG, faults=FIRST_KINDS))
        now.append(digest_of(schedule))
        # The kinds of reads are newer than the first saved seeds, and moved nothing else.
        first.append(digest_of(fitted(schedule, ALL - {"reads"})))
    assert first == ["3634367e04fd5ec6", "2b05b86a8580f196"]
    assert now == ["479414c3a5fb2e76", "4a490c54e73d8443"]


def digest_of(schedule: Schedule) -> str:
    return blake2b(msgspec.json.encode([schedule.faults, schedule.operations]), digest_size=8).hexdigest()


def test_another_seed_is_another_schedule() -> None:
    assert generate(1, LONG).faults != generate(2, LONG).faults
    assert generate(1, LONG).operations != generate(2, LONG).operations


def test_another_client_does_not_change_the_operations_of_the_others() -> None:
    five = generate(3, LONG)
    six = generate(3, msgspec.structs.replace(LONG, clients=6, ops_per_second=120))
    assert six.faults == five.faults

    def without_register(operation: Operation) -> Operation:
        return msgspec.structs.replace(operation, key="reg") if operation.f == "get" else operation

    kept = [without_register(operation) for operation in six.operations if operation.client != "c5"]
    assert kept == [without_register(operation) for operation in five.operations]


@pytest.mark.parametrize("swarm", [False, True])
def test_some_reads_need_no_log_entry_and_are_asked_of_any_node(swarm: bool) -> None:
    config = msgspec.structs.replace(LONG, swarm=swarm)
    counts, asked = Counter[str | None](), Counter[str | None]()
    for seed in range(5):
        schedule = generate(seed, config)
        for operation in schedule.operations:
            assert operation.f == "get" or operation.consistency is None
            assert (operation.node is None) == (operation.consistency is None)
            if operation.f == "get" and operation.client in schedule.header.clients[: config.clients]:
                counts["read_index" if operation.consistency == "lease" else operation.consistency] += 1
                asked[operation.node] += 1
        assert {operation.node for operation in schedule.operations} == {None, *schedule.header.nodes}
    shares = {kind: count / counts.total() for kind, count in counts.items()}
    assert shares == pytest.approx({None: 0.5, "read_index": 0.3, "stale": 0.2}, abs=0.03)


def test_other_faults_do_not_change_operations() -> None:
    only_kills = msgspec.structs.replace(LONG, faults=("kill",))
    assert generate(3, only_kills).operations == generate(3, LONG).operations


def test_every_generated_schedule_survives_being_saved_and_loaded(tmp_path: Path) -> None:
    for number, schedule in enumerate(schedules(SHORT, ScheduleConfig(nodes=3, duration_s=10))):
        save(schedule, tmp_path / str(number))
        assert load(tmp_path / str(number)) == schedule


# ---- faults ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("nodes", [3, 4, 5, 7])
@pytest.mark.parametrize("config", [LONG, SHORT, ScheduleConfig(duration_s=4.4)], ids=["long", "short", "shortest"])
def test_required_events_come_from_faults_at_fixed_times(config: ScheduleConfig, nodes: int) -> None:
    for schedule in faulty(msgspec.structs.replace(config, nodes=nodes)):
        timed = [fault for fault in schedule.faults if fault.when.at_us is not None]
        assert schedule.header.required == ["leader_killed", "leader_isolated"]
        assert any(is_leader_kill(fault) for fault in timed)
        isolations = [fault.duration_us for fault in timed if is_leader_isolation(fault)]
        assert max(isolations) >= 3 * TIMEOUT_US


def test_faults_at_a_time_begin_and_end_within_the_safety_phase() -> None:
    for schedule in faulty(LONG, SHORT, ScheduleConfig(duration_s=90)):
        header = schedule.header
        for fault in schedule.faults:
            if fault.when.at_us is not None:
                assert header.safety_from_us <= fault.when.at_us
                assert fault.when.at_us + fault.duration_us <= header.safety_until_us


def test_faults_are_spread_over_the_safety_phase_of_a_long_run() -> None:
    for schedule in faulty(ScheduleConfig(duration_s=120)):
        times = [fault.when.at_us for fault in schedule.faults if fault.when.at_us is not None]
        thirds = Counter((at_us - schedule.header.safety_from_us) * 3 // 118_000_001 for at_us in times)
        assert min(thirds[third] for third in range(3)) >= len(times) // 6


def test_ids_are_unique_and_in_the_order_of_time() -> None:
    for schedule in faulty(LONG, ScheduleConfig(duration_s=200)):
        ids = [fault.id for fault in schedule.faults]
        assert ids == sorted(set(ids))
        drawn = [fault for fault in schedule.faults if not episode_of(fault.id)]
        times = [fault.when.at_us for fault in drawn if fault.when.at_us is not None]
        assert times == sorted(times)


@pytest.mark.parametrize("nodes", [3, 5])
def test_anchored_faults_wait_for_the_next_elections_after_the_warmup(nodes: int) -> None:
    for schedule in by_chance(msgspec.structs.replace(SHORT, nodes=nodes)):
        anchored = [fault for fault in schedule.faults if fault.when.on is not None]
        at_leader = {fault.when.nth for fault in anchored if fault.when.on == "leader_elected"}
        assert at_leader == {2, 3}
        (voter,) = [fault for fault in anchored if fault.when.on == "vote_granted"]
        assert voter.action == Kill(["voter"], [0])
        assert nodes < voter.when.nth <= nodes + 3


def test_a_power_loss_kills_all_nodes_while_syncs_are_slow_and_the_leader_restarts_last() -> None:
    with_power_loss = 0
    for schedule in by_chance(LONG):
        for loss in schedule.faults:
            if not (is_leader_kill(loss) and isinstance(loss.action, Kill) and len(loss.action.nodes) > 3):
                continue
            with_power_loss += 1
            at_us = loss.when.at_us
            assert at_us is not None
            assert any(
                isinstance(slow.action, SlowSync)
                and slow.when.at_us is not None
                and slow.when.at_us + TIMEOUT_US <= at_us < slow.when.at_us + slow.duration_us
                and 20_000 <= slow.action.min_us <= slow.action.max_us <= 50_000
                for slow in schedule.faults
            )
            leader, *followers = loss.action.restart_after_us
            assert loss.action.nodes[0] == "leader" and leader >= 3 * TIMEOUT_US and set(followers) == {0}
    assert with_power_loss > 0.75 * len(by_chance(LONG)), "most schedules have one"


def test_a_node_with_a_stale_log_restarts_just_before_the_leader_is_killed() -> None:
    for schedule in by_chance(LONG):
        by_anchor: dict[int, list[Fault]] = {}
        for fault in schedule.faults:
            if fault.when.on == "leader_elected":
                by_anchor.setdefault(fault.when.nth, []).append(fault)
        if not by_anchor:
            continue  # a partition stands at the end, and nothing else may happen meanwhile
        ((partition, kill),) = [pair for pair in by_anchor.values() if len(pair) == 2]
        healed_us = partition.when.after_us + partition.duration_us
        assert isinstance(partition.action, Partition) and is_leader_kill(kill)
        assert 0 <= kill.when.after_us - healed_us <= TIMEOUT_US


def test_a_node_that_is_down_is_not_killed_or_paused_again_by_its_name() -> None:
    for schedule in faulty(LONG, ScheduleConfig(fault_interval_s=0.2)):
        timed = [fault for fault in schedule.faults if isinstance(fault.action, Kill | Pause)]
        down: dict[str, int] = {}
        for fault in timed:
            if fault.when.at_us is None or is_leader_kill(fault):
                continue
            assert isinstance(fault.action, Kill | Pause)
            for node in fault.action.nodes:
                assert node == "leader" or down.get(node, 0) <= fault.when.at_us
                down[node] = fault.when.at_us + fault.duration_us


def test_seeds_draw_different_kinds_shapes_and_strengths() -> None:
    kinds = {frozenset(type(fault.action).__name__ for fault in schedule.faults) for schedule in faulty(LONG)}
    assert len(kinds) >= 4
    networks = [
        fault.action for schedule in faulty(LONG) for fault in schedule.faults if isinstance(fault.action, Network)
    ]
    for field in ("loss", "duplicate", "reorder", "delay_max_us"):
        strengths = [getattr(network, field) for network in networks]
        assert min(strengths) == 0 < max(strengths), field
    shapes = {
        fault.action.shape
        for schedule in faulty(LONG)
        for fault in schedule.faults
        if isinstance(fault.action, Partition)
    }
    assert len(shapes) == 7


@pytest.mark.parametrize("kind", LIVE_KINDS)
def test_only_the_requested_kinds_are_drawn(kind: FaultKind) -> None:
    every = faulty(msgspec.structs.replace(LONG, faults=(kind,)))
    assert {type(fault.action) for schedule in every for fault in schedule.faults} == {KINDS[kind]}
    promises = {"kill": ["leader_killed"], "partition": ["leader_isolated"]}
    assert all(schedule.header.required == promises.get(kind, []) for schedule in every)


def test_a_schedule_may_have_no_faults() -> None:
    schedule = generate(1, msgspec.structs.replace(LONG, faults=()))
    assert schedule.faults == [] and schedule.header.required == [] and schedule.operations


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("nodes", 2),
        ("clients", 0),
        ("warmup_s", -1),
        ("liveness_s", -0.5),
        ("ops_per_second", -1),
        ("ops_per_second", float("nan")),
        ("fault_interval_s", 0),
        ("election_timeout_us_max", 0),
        ("faults", ("fire",)),
    ],
)
def test_refuses_a_config_out_of_range(field: str, value: object) -> None:
    with pytest.raises(ScheduleError, match=f"{field}: "):
        msgspec.structs.replace(LONG, **{field: value})


def test_refuses_a_run_too_short_for_its_required_faults_and_says_the_least() -> None:
    with pytest.raises(ScheduleError, match=r"duration_s: expected at least 4\.4 .* got 4"):
        ScheduleConfig(duration_s=4)


# ---- operations --------------------------------------------------------------------------------------------------


def test_operations_are_spread_over_the_run_at_the_requested_rate() -> None:
    for schedule in schedules(LONG, SHORT):
        times = [operation.at_us for operation in schedule.operations]
        end_us = schedule.header.safety_until_us + schedule.header.liveness_for_us
        assert times == sorted(times) and times[0] >= 300_000 and times[-1] < end_us
        expected = 100 * (end_us - 300_000) / 1e6
        assert 0.8 * expected < len(times) < 1.2 * expected
        assert len({operation.id for operation in schedule.operations}) == len(times)


def test_values_are_unique_and_registers_have_one_writer() -> None:
    for schedule in schedules(LONG):
        values = [operation.value for operation in schedule.operations if operation.value is not None]
        assert len(values) == len(set(map(str, values)))
        for operation in schedule.operations:
            family, *rest = operation.key.split("/")
            if family == "reg" and operation.f != "get":
                assert operation.f == "put" and rest[0] == operation.client
            if family == "list":
                assert operation.f in ("append", "get")
                assert int(rest[0]) // 3 == operation.at_us // KEY_LIFE_US


def test_the_mix_is_mostly_writes_and_reads_of_registers_and_lists() -> None:
    operations = [operation for schedule in schedules(LONG) for operation in schedule.operations]
    shares = Counter("mix" if operation.key.startswith("mix/") else operation.f for operation in operations)
    share = {name: count / len(operations) for name, count in shares.items()}
    assert share == pytest.approx({"put": 0.25, "append": 0.20, "get": 0.40, "mix": 0.15}, abs=0.01)


def test_a_cas_expects_what_was_written_to_its_key_before_or_absence_or_comes_too_early_and_again() -> None:
    early = 0
    for schedule in schedules(LONG):
        written: dict[str, set[str]] = {}
        expecting = 0
        for place, operation in enumerate(schedule.operations):
            if operation.f == "cas" and operation.expected is not None:
                expecting += 1
                if operation.expected not in written.get(operation.key, ()):
                    put, *later = schedule.operations[place + 1 :]
                    assert (put.f, put.key, put.value) == ("put", operation.key, operation.expected)
                    assert next(one for one in later if one.client == operation.client).again == 1
                    early += 1
            if operation.key.startswith("mix/") and isinstance(operation.value, str):
                written.setdefault(operation.key, set()).add(operation.value)
        assert expecting > 50
    assert early > 0


def test_clients_begin_new_sessions_in_a_share_of_the_seeds_of_our_own_raft() -> None:
    anew = [sum(one.anew for one in generate(seed, LONG).operations) for seed in range(30)]
    assert 1 <= sum(map(bool, anew)) <= 12
    foreign = msgspec.structs.replace(LONG, can=tuple(ALL))
    assert not any(one.anew for seed in range(30) for one in generate(seed, foreign).operations)


# ---- in words ----------------------------------------------------------------------------------------------------


def test_drawn_describes_the_schedule() -> None:
    schedule = generate(0, LONG)
    lines = drawn(schedule)
    assert [line.split(":")[0] for line in lines] == [
        "kill",
        "pause",
        "slow_sync",
        "truncation",
        "partition",
        "network",
        "clock",
        "faults",
        "operations",
    ]
    kills = sum(isinstance(fault.action, Kill) for fault in schedule.faults)
    assert sum(int(part.split()[-1]) for part in lines[0].removeprefix("kill: ").split(", ")) == kills
    assert "leader and all 1" in lines[0]
    loss = max(fault.action.loss for fault in schedule.faults if isinstance(fault.action, Network))
    assert f"loss up to {loss * 100:.0f} %" in next(line for line in lines if line.startswith("network"))
    assert lines[-1].startswith(f"operations: {len(schedule.operations)} by 5 clients (get ")


def test_less_than_a_quorum_of_the_first_voters_is_damaged() -> None:
    """Of three that vote and two that do not, one: with two the cluster would be lost."""
    kinds: tuple[FaultKind, ...] = ("kill", "lost_file", "bit_flip", "truncation")
    config = ScheduleConfig(nodes=5, faults=kinds, swarm=True, ops_per_second=1)
    some_vote = msgspec.structs.replace(config, features=("check_quorum", "membership", "first_voters=3"))
    hit = {
        size: max(
            len({node for fault in made.faults if fault.action.ends_nodes for node in fault.action.nodes})
            for made in (generate(seed, one) for seed in range(40))
        )
        for size, one in ((5, config), (3, some_vote))
    }
    assert hit == {5: 2, 3: 1}


def test_no_more_than_a_minority_of_the_first_voters_leaves_at_once() -> None:
    """Of three that vote and four that do not, one: with two the last one would be left alone beside a failure."""
    kinds: tuple[FaultKind, ...] = ("kill", "membership")
    config = ScheduleConfig(nodes=7, faults=kinds, swarm=True, ops_per_second=1)
    most = {
        voters: max(
            len(fault.action.nodes)
            for seed in range(40)
            for fault in generate(seed, msgspec.structs.replace(config, features=features)).faults
            if isinstance(fault.action, Membership) and episode_of(fault.id) == ""
        )
        for voters, features in (
            (7, ("check_quorum", "membership")),
            (3, ("check_quorum", "membership", "first_voters=3")),
        )
    }
    assert most == {7: 3, 3: 1}
