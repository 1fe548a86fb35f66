"""Strategies: all drawn values are valid, can be run, and shrink as far as possible."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, find, given, settings
from hypothesis import strategies as st
from hypothesis.errors import NoSuchExample

from raft_chaos.chaos.faults.catalogue import KINDS, LIVE_KINDS, VIRTUAL_KINDS
from raft_chaos.chaos.faults.clock import Clock
from raft_chaos.chaos.faults.disk import SlowSync
from raft_chaos.chaos.faults.names import LEADER, VOTER
from raft_chaos.chaos.faults.network import Network
from raft_chaos.chaos.faults.partition import Clog, Partition
from raft_chaos.chaos.faults.process import Kill
from raft_chaos.chaos.mutants import parts_of
from raft_chaos.chaos.run.nodes.memory_driver import MemoryDriver
from raft_chaos.chaos.run.sim.run import Simulated, VirtualRun
from raft_chaos.chaos.schedule.check import check_schedule
from raft_chaos.chaos.schedule.data import Schedule, ScheduleError
from raft_chaos.chaos.schedule.file import load, save
from raft_chaos.chaos.schedule.generate import generate
from raft_chaos.chaos.testing.strategies import ClusterConfig, cluster_configs, faults, schedules, timings, workloads
from raft_chaos.raft.state.features import FEATURES, Features
from raft_chaos.raft.state.timing import Timing

NODES = ["n1", "n2", "n3"]
TIMING = Timing(30_000, 60_000, 10_000)
SHORT = {"warmup_us": 150_000, "duration_us": 500_000, "longest_us": 100_000, "slowest_us": 2_000}

few = settings(
    max_examples=15,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.generate, Phase.shrink],
    report_multiple_bugs=False,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
many = settings(few, max_examples=150)


def simulate(schedule: Schedule, mutant: str | None = None) -> Simulated:
    return VirtualRun(schedule, timing=TIMING, driver=MemoryDriver(parts_of(mutant))).go()


# ---- what is drawn is valid ----------------------------------------------------------------------------------------


@many
@given(schedule=schedules())
def test_a_schedule_is_valid_and_equal_after_saving_and_loading(schedule: Schedule, tmp_path: Path) -> None:
    check_schedule(schedule)
    file = tmp_path / "schedule.jsonl"
    save(schedule, file)
    assert load(file) == schedule


@few
@given(schedule=schedules(**SHORT, most_faults=4, most_operations=10))
def test_a_schedule_runs_and_repeats_exactly(schedule: Schedule) -> None:
    simulated = simulate(schedule)
    assert "violated" not in {verdict.outcome for verdict in simulated.analysis.invariants}
    assert simulate(schedule).trace_sha256 == simulated.trace_sha256


@few
@given(config=cluster_configs())
def test_a_cluster_has_a_schedule_and_a_timing_that_fit_each_other(config: ClusterConfig) -> None:
    check_schedule(generate(1, config.schedule))
    assert config.schedule.election_timeout_us_max == config.timing.election_timeout_max_us


@many
@given(timing=timings(longest_us=20_000))
def test_a_drawn_timing_respects_the_longest_timeout(timing: Timing) -> None:
    assert timing.election_timeout_max_us <= 20_000


@pytest.mark.parametrize("kind", VIRTUAL_KINDS)
def test_every_kind_of_fault_is_drawn_at_times_and_at_anchors(kind: Any) -> None:
    at_time = find(faults(NODES, kinds=[kind]), lambda fault: fault.when.at_us is not None, settings=few)
    anchored = find(faults(NODES, kinds=[kind]), lambda fault: fault.when.on is not None, settings=few)
    assert at_time.action.kind() == anchored.action.kind() == kind


@many
@given(fault=faults(NODES, kinds=LIVE_KINDS, anchored=False, from_us=7_000, until_us=9_000))
def test_faults_respect_the_arguments(fault: Any) -> None:
    assert fault.action.kind() in LIVE_KINDS and fault.when.at_us in (7_000, 8_000, 9_000)


def test_a_voter_is_killed_only_where_a_vote_was_granted() -> None:
    kills = faults(NODES, kinds=["kill"])
    voter = find(kills, lambda fault: VOTER in fault.action.nodes, settings=settings(few, max_examples=1_000))
    assert voter.when.on == "vote_granted"
    with pytest.raises(NoSuchExample):
        find(kills, lambda f: VOTER in f.action.nodes and f.when.on != "vote_granted", settings=many)


def test_a_schedule_may_have_no_faults_at_all() -> None:
    with pytest.raises(NoSuchExample):
        find(schedules(kinds=()), lambda schedule: bool(schedule.faults), settings=few)


# ---- what fails becomes small --------------------------------------------------------------------------------------


def test_the_simplest_schedule_is_three_nodes_without_faults_and_operations() -> None:
    schedule = find(schedules(), lambda schedule: True, settings=few)
    assert schedule.header.nodes == NODES and not schedule.faults and not schedule.operations


def test_the_simplest_fault_is_at_the_first_moment_to_the_first_node() -> None:
    killed = find(schedules(), lambda s: any(isinstance(f.action, Kill) for f in s.faults), settings=many)
    assert [(fault.when.at_us, fault.action) for fault in killed.faults] == [(500_000, Kill(["n1"], [0]))]


def test_the_simplest_cut_is_that_of_the_leader() -> None:
    cut = find(faults(NODES, kinds=["partition"]), lambda fault: True, settings=few).action
    assert isinstance(cut, Partition) and LEADER in cut.grudge
    clog = find(faults(NODES, kinds=["clog"]), lambda fault: True, settings=few).action
    assert clog == Clog({"n1": ["n2"]})


def test_the_simplest_fault_has_the_smallest_effect() -> None:
    simplest = {kind: find(faults(NODES, kinds=[kind]), lambda fault: True, settings=few) for kind in VIRTUAL_KINDS}
    assert simplest["clock"].action == Clock(["n1"], 0, 0)
    assert simplest["network"].action == Network(["n1"])
    assert simplest["slow_sync"].action == SlowSync(["n1"], 0, 0)
    lasts_us = {kind: fault.duration_us for kind, fault in simplest.items()}
    at_once = {kind: 0 for kind in VIRTUAL_KINDS if KINDS[kind].at_once or KINDS[kind].ends_nodes}
    assert (
        lasts_us
        == dict.fromkeys(VIRTUAL_KINDS, 1_000) | {"kill": 0, "stop": 0, "crash_loop": 0, "kill_in_sync": 0} | at_once
    )


def test_the_simplest_work_is_one_write_at_the_beginning() -> None:
    [operation] = find(workloads(["c0", "c1"]), lambda operations: bool(operations), settings=few)
    assert (operation.id, operation.at_us, operation.f, operation.key) == ("c0/0", 0, "put", "reg/c0")


# ---- what cannot be drawn ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (lambda: faults(["n1", "n2"]), "nodes: expected at least 3 names"),
        (lambda: faults(["n1", "n1", "n2"]), "each only once"),
        (lambda: faults(NODES, kinds=["fire"]), "kinds: 'fire' is unknown; expected some of kill"),
        (lambda: faults(NODES, kinds=[]), "kinds: expected at least one of kill"),
        (lambda: faults(NODES, from_us=2, until_us=1), "from_us: expected 0 to 1, got 2"),
        (lambda: faults(NODES, longest_us=0), "longest_us: expected 1000 to"),
        (lambda: timings(longest_us=1), "longest_us: expected 20000 to"),
        (lambda: workloads([]), "clients: expected at least one name"),
        (lambda: workloads(["c0"], functions=["incr"]), "functions: expected some of put, get"),
        (lambda: workloads(["c0"], most=-1), "most: expected 0 to"),
        (lambda: schedules(least_nodes=5, most_nodes=3), "least_nodes: expected 3 to 3, got 5"),
        (lambda: schedules(clients=0), "clients: expected 1 to"),
        (lambda: schedules(kinds=["fire"]), "kinds: 'fire' is unknown"),
        (lambda: cluster_configs(most_nodes=2), "most_nodes: expected 3 to"),
        (lambda: cluster_configs(kinds=["fire"]), "kinds: 'fire' is unknown"),
    ],
)
def test_invalid_arguments_of_strategies_are_refused_immediately(
    asked: Callable[[], st.SearchStrategy[Any]], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        asked()


@pytest.mark.parametrize("module", ["raft_chaos.chaos.testing.strategies", "raft_chaos.chaos.testing.state_machine"])
def test_without_hypothesis_the_error_says_what_to_install(module: str) -> None:
    program = f"import sys; sys.modules['hypothesis'] = None; import {module}"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 1
    assert f"ImportError: {module} needs hypothesis" in done.stderr and "raft-chaos[hypothesis]" in done.stderr


def test_no_other_module_needs_hypothesis() -> None:
    program = (
        "import sys; sys.modules['hypothesis'] = None; "
        "import raft_chaos.reports, raft_chaos.chaos.campaign.selfcheck; "
        "from raft_chaos.chaos.cli import commands, lazy; [lazy.load(one) for one in commands.COMMANDS]"
    )
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0


def test_a_violation_of_a_schedule_is_an_error_of_the_strategies() -> None:
    """Without refusals by `check_schedule` the tests above would prove nothing."""
    schedule = find(schedules(), lambda schedule: bool(schedule.faults), settings=few)
    with pytest.raises(ScheduleError):
        check_schedule(Schedule(schedule.header, schedule.faults * 2, schedule.operations))


@pytest.mark.parametrize(
    "name", [name for name in FEATURES if name not in ("lease_reads", "first_voters", "max_sessions", "max_waiting")]
)
def test_nodes_have_drawn_features_unless_the_caller_says_which(name: str) -> None:
    found = find(schedules(), lambda schedule: bool(getattr(schedule.header.features, name)), settings=few)
    check_schedule(found)
    assert Features.of(found.header.features.names) == found.header.features


def test_the_caller_says_which_features_nodes_have() -> None:
    said = Features(check_quorum=True, membership="single", first_voters=3)
    assert find(schedules(features=said), lambda _: True, settings=few).header.features == said
    with pytest.raises(NoSuchExample):
        find(schedules(features=said), lambda schedule: schedule.header.features != said, settings=few)
