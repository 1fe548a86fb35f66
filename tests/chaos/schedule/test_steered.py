"""Steered episodes: each builds its situation in a run, and convicts what it was built for."""

from __future__ import annotations

from itertools import pairwise
from operator import attrgetter
from random import Random

import pytest
from msgspec.structs import replace

from raft_chaos.chaos.faults.abilities import ALL as ALL_ABILITIES
from raft_chaos.chaos.faults.catalogue import VIRTUAL_KINDS
from raft_chaos.chaos.mutants import parts_of
from raft_chaos.chaos.run.nodes.memory_driver import MemoryDriver
from raft_chaos.chaos.run.sim.run import VirtualRun
from raft_chaos.chaos.schedule.check import check_schedule
from raft_chaos.chaos.schedule.config import ScheduleConfig
from raft_chaos.chaos.schedule.data import Header, Schedule, SimModel, When
from raft_chaos.chaos.schedule.describe import drawn
from raft_chaos.chaos.schedule.draw_faults import quiet_us
from raft_chaos.chaos.schedule.follow import follows
from raft_chaos.chaos.schedule.generate import generate
from raft_chaos.chaos.schedule.probes import PROBED, probers, probes
from raft_chaos.chaos.schedule.steered.catalogue import (
    ALL,
    FIRST_ELECTION,
    HELD,
    LATER_OF_FEATURES,
    OF_FEATURES,
    OLD_LEASE,
    STEERED,
    episode_of,
    in_a_row,
    in_turns,
)
from raft_chaos.chaos.schedule.steered.plot import Plot, Steered
from raft_chaos.chaos.schedule.swarm import EARLY_SHARE, PLAIN_STEERED_SHARE, STEERED_SHARE, draw
from raft_chaos.chaos.schedule.workload import draw_operations
from raft_chaos.invariants.events import Event, FaultInjected, Started
from raft_chaos.raft.state.features import NONE, Features
from raft_chaos.raft.state.timing import Timing

TIMING = Timing(150_000, 300_000, 50_000)
UNIT = TIMING.election_timeout_max_us
BEGIN_US = 2_000_000
WIDE = ScheduleConfig(swarm=True, nodes=0, faults=VIRTUAL_KINDS, ops_per_second=0)
EPISODES = STEERED | {episode.name: episode for episode in (*OF_FEATURES, *LATER_OF_FEATURES)}
EVERY_EPISODE = pytest.mark.parametrize("episode", EPISODES.values(), ids=list(EPISODES))
FEATURES = {
    "lost_change": Features(check_quorum=True, membership="joint", snapshot_every=20),
    "unreadable_entries": Features(cache_bytes=1_000),
    "missed_promotion": Features(check_quorum=True, membership="single"),
    "behind_in_term": Features(pre_vote=True),
    "removed_leader": Features(check_quorum=True, membership="single"),
    "silent_learner": Features(check_quorum=True, membership="joint"),
    "slow_snapshot": Features(snapshot_every=20),
    "removed_follower": Features(check_quorum=True, membership="joint"),
    "members_in_snapshot": Features(check_quorum=True, membership="joint", snapshot_every=20),
    "cut_snapshots": Features(snapshot_every=5),
}
"""For each episode of a feature, nodes that have it."""
STANDS_US = 25 * UNIT
MAY_NOT_COME = {"split_votes-4"}
"""Steps for which chance decides whether their moment comes: whether one of two candidates wins."""

FEWEST_NODES = {"lost_since": 5}
"""With less the steps behind the first have no moment."""


def alone(episode: Steered, seed: int, nodes: int = 3) -> Schedule:
    """A schedule with this episode and nothing else."""
    names, until_us = [f"n{number}" for number in range(1, nodes + 1)], BEGIN_US + (episode.timeouts + 3) * UNIT
    if episode.stands:
        until_us += STANDS_US
    plot = Plot(f"s01-{episode.name}", When(at_us=BEGIN_US), Random(seed), UNIT, nodes % 2 == 0, STANDS_US)
    episode.build(plot)
    header = Header(
        seed=seed,
        nodes=names,
        clients=["c0", "c1", "c2", "c3", "c4"],
        safety_from_us=0 if episode is FIRST_ELECTION else BEGIN_US,
        safety_until_us=until_us,
        liveness_for_us=0,
        model=SimModel(entries_per_message=int(episode.one_entry_a_message)),
        features=FEATURES.get(episode.name, NONE),
    )
    operations = draw_operations(seed, header.clients, 30, until_us)
    if episode.name in HELD:
        probed = probes(plot.faults, names, UNIT)
        operations = sorted([*operations, *probed], key=attrgetter("at_us"))
        header = replace(header, clients=[*header.clients, *probers(names)] if probed else header.clients)
    return Schedule(header, plot.faults, operations)


def with_snapshots(schedule: Schedule, every: int) -> Schedule:
    return replace(schedule, header=replace(schedule.header, features=Features(snapshot_every=every)))


def played(schedule: Schedule, mutant: str | None = None, *, until: str | None = None) -> tuple[VirtualRun, set[str]]:
    """The run of the schedule, and the violated invariants."""
    run = VirtualRun(schedule, timing=TIMING, driver=MemoryDriver(parts_of(mutant)), until=until)
    verdicts = run.go().analysis.invariants
    return run, {verdict.invariant for verdict in verdicts if verdict.outcome == "violated"}


# ---- as data --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("nodes", [3, 4, 5, 6, 7])
@pytest.mark.parametrize("episode", ALL, ids=[one.name for one in ALL])
def test_an_episode_is_a_valid_schedule_of_its_kinds_in_any_cluster(episode: Steered, nodes: int) -> None:
    for seed in range(20):
        schedule = alone(episode, seed, nodes)
        check_schedule(schedule)
        assert {fault.action.kind() for fault in schedule.faults} <= set(episode.kinds)
        assert {episode_of(fault.id) for fault in schedule.faults} == {episode.name}


@EVERY_EPISODE
def test_every_step_but_the_first_follows_another(episode: Steered) -> None:
    for seed in range(20):
        first, *others = alone(episode, seed).faults
        assert first.when == When(at_us=BEGIN_US) and all(follows(fault) for fault in others)


def test_episodes_follow_one_after_the_other_until_there_is_no_room() -> None:
    nodes = ["n1", "n2", "n3"]
    windows = in_turns(["old_bridge", "one_victim"], Random(1), nodes, UNIT, BEGIN_US, BEGIN_US + 30 * UNIT)
    assert len(windows) == 3 and len({episode_of(window.faults[0].id) for window in windows}) == 2
    for before, window in pairwise(windows):
        assert window.at_us > before.at_us + before.lasts_us
    assert in_turns(["leads_again"], Random(1), nodes, UNIT, BEGIN_US, BEGIN_US + UNIT) == []
    assert in_turns([], Random(1), nodes, UNIT, BEGIN_US, BEGIN_US + 30 * UNIT) == []


def test_the_next_of_a_row_waits_until_an_episode_that_stands_is_over() -> None:
    promotion, change = EPISODES["missed_promotion"], EPISODES["lost_change"]
    faults = in_a_row((promotion, change), Random(1), ["n1", "n2", "n3"], UNIT, BEGIN_US, STANDS_US)
    assert [episode_of(fault.id) for fault in faults] == ["missed_promotion"] * 5 + ["lost_change"] * 2
    assert [fault.duration_us for fault in faults].count(STANDS_US) == 1
    begins_us = [fault.when.at_us for fault in faults if fault.when.at_us is not None]
    assert begins_us == [BEGIN_US, BEGIN_US + (promotion.timeouts + 2) * UNIT + STANDS_US]


def test_an_episode_of_features_exists_with_what_it_needs_and_without_what_prevents_it() -> None:
    for episode in (*OF_FEATURES, *LATER_OF_FEATURES):
        features = FEATURES[episode.name]
        assert episode.exists_with(features) and not episode.exists_with(NONE)
        assert all(not episode.exists_with(replace(features, **{name: 1})) for name in episode.not_with)


def test_a_share_of_the_seeds_is_steered_with_every_episode_among_them() -> None:
    wide = [draw(seed, WIDE) for seed in range(400)]
    plain = [draw(seed, ScheduleConfig()) for seed in range(400)]
    old_leases = [swarm for swarm in wide if {*swarm.steered} & {*OLD_LEASE}]
    held = [swarm for swarm in wide if {*swarm.steered} & {*HELD}]
    others = [swarm for swarm in wide if swarm not in old_leases and swarm not in held]
    assert abs(sum(bool(swarm.steered) for swarm in others) / 400 - STEERED_SHARE) < 0.08
    assert held and all({*swarm.steered} <= {*HELD} for swarm in held)
    assert old_leases and all(swarm.features.lease_reads for swarm in old_leases)
    assert abs(sum(bool(swarm.steered) for swarm in plain) / 400 - PLAIN_STEERED_SHARE) < 0.08
    assert abs(sum(swarm.early for swarm in wide) / 400 - EARLY_SHARE) < 0.08
    assert {name for swarm in wide for name in swarm.steered} == set(STEERED)
    assert all(swarm.churn == swarm.divided == 0 for swarm in wide if swarm.steered)


def test_clients_read_at_each_node_where_a_leader_gets_old_answers() -> None:
    """Only where a leader that hears nobody goes on leading: without CheckQuorum."""
    config, found = replace(WIDE, features=()), 0
    for seed in range(80):
        made = generate(seed, config)
        check_schedule(made)
        readers = {one.node for one in made.operations if one.client.startswith("probe-n")}
        has_episode = any(episode_of(fault.id) in PROBED for fault in made.faults)
        assert readers == ({*made.header.nodes} if has_episode else set())
        found += has_episode
    assert found > 1
    quorums = replace(WIDE, features=("check_quorum",))
    assert not any("held_answers" in draw(seed, quorums).steered for seed in range(400))


def test_a_steered_seed_keeps_what_is_required_and_says_what_it_has() -> None:
    steered = [schedule for seed in range(40) if (schedule := generate(seed, WIDE)).header.swarm["steered"]]
    for schedule in steered:
        check_schedule(schedule)
        assert schedule.header.required == ["leader_killed", "leader_isolated"]
        on_top = {"first_election", "quiet", "lost_transfer"}
        assert not schedule.header.swarm["outages"]
        episodes = {name for fault in schedule.faults if (name := episode_of(fault.id))} - on_top
        assert episodes and episodes <= set(str(schedule.header.swarm["steered"]).split())
        (line,) = [line for line in drawn(schedule) if line.startswith("steered episodes: ")]
        assert all(name in line for name in episodes)


def test_an_episode_whose_kinds_are_not_there_is_not_drawn() -> None:
    cuts = [draw(seed, ScheduleConfig(faults=("partition",))).steered for seed in range(400)]
    assert {name for names in cuts for name in names} == {"figure_8", "old_bridge"}


def test_commands_arrive_again_in_a_share_of_the_seeds_and_only_for_targets_that_recognise_them() -> None:
    config = ScheduleConfig(duration_s=5)
    several = [seed for seed in range(40) if draw(seed, config).repeats]
    assert 2 <= len(several) <= 20
    for seed in range(40):
        again = [operation.again for operation in generate(seed, config).operations]
        assert (seed in several) == any(again)
        assert set(again) <= {0, 1, 2, 3} and sum(map(bool, again)) < len(again) / 5
    without = replace(config, can=tuple(ALL_ABILITIES - {"repeats"}))
    assert not any(operation.again for seed in several for operation in generate(seed, without).operations)


def test_clients_are_silent_for_a_while_in_a_quiet_seed() -> None:
    config = replace(WIDE, ops_per_second=100)
    quiet = [seed for seed in range(60) if draw(seed, config).quiet]
    assert 3 <= len(quiet) <= 18
    for seed in quiet[:3]:
        begins_us, ends_us = quiet_us(seed, config)
        schedule = generate(seed, config)
        assert not [one for one in schedule.operations if begins_us <= one.at_us < ends_us]
        (kill,) = [fault for fault in schedule.faults if episode_of(fault.id) == "quiet"]
        assert kill.when == When(at_us=begins_us) and ends_us - begins_us == 8 * UNIT


# ---- in a run -------------------------------------------------------------------------------------------------------


@EVERY_EPISODE
def test_every_step_comes_and_the_right_core_stands_it(episode: Steered) -> None:
    schedule = alone(episode, 1, FEWEST_NODES.get(episode.name, 3))
    run, violated = played(schedule)
    struck = {event.fault for event in run.trace.harness_events if isinstance(event, FaultInjected)}
    missing = {fault.id.removeprefix("s01-") for fault in schedule.faults} - {
        name.removeprefix("s01-") for name in struck
    }
    assert missing <= MAY_NOT_COME and violated == set()


CONVICTED = [
    ("figure_8", 3, "old_term_commit", "leader_completeness"),
    ("figure_8", 5, "old_term_commit", "leader_completeness"),
    ("one_victim", 5, "ack_before_sync", "leader_completeness"),
    ("split_votes", 4, "half_is_majority", "election_safety"),
    ("unanswered", 3, "no_client_dedup", "acknowledged_writes"),
    ("lost_since", 5, "stale_progress_kept", "consistency_check"),
    ("lost_change", 3, "snapshot_keeps_newer_membership", "membership_changes"),
    ("unreadable_entries", 5, "read_error_matches_nothing", "committed_log_append_only"),
    ("missed_promotion", 3, "learner_refuses_vote", "liveness_under_fault"),
    ("missed_promotion", 6, "learner_refuses_vote", "liveness_under_fault"),
    ("behind_in_term", 3, "prevote_ignores_lower_term", "liveness_under_fault"),
    ("behind_in_term", 4, "prevote_ignores_lower_term", "liveness_under_fault"),
    ("removed_leader", 3, "removed_leader_never_stands", "recovery"),
    ("removed_leader", 6, "removed_leader_never_stands", "recovery"),
    ("silent_learner", 3, "learner_promoted_behind", "learner_promotion"),
    ("silent_learner", 5, "learner_promoted_behind", "learner_promotion"),
    ("slow_snapshot", 5, "log_compacted_during_transfer", "efficiency"),
    ("removed_follower", 3, "candidate_asks_new_voters", "recovery"),
    ("removed_follower", 6, "candidate_asks_new_voters", "recovery"),
    ("members_in_snapshot", 3, "restart_forgets_members_of_snapshot", "membership_changes"),
    ("members_in_snapshot", 4, "restart_forgets_members_of_snapshot", "membership_changes"),
    ("held_transfer", 3, "old_timeout_now", "election_timer"),
    ("held_transfer", 6, "old_timeout_now", "election_timer"),
    ("held_answers", 3, "read_joins_round_under_way", "linearizability"),
    ("held_answers", 5, "read_joins_round_under_way", "linearizability"),
]
SIZE = {name: nodes for name, nodes, *_ in reversed(CONVICTED)}
"""The quick suite plays each episode in one size of cluster."""


@pytest.mark.parametrize(
    ("name", "nodes", "mutant", "invariant"),
    [pytest.param(*one, marks=[] if SIZE[one[0]] == one[1] else pytest.mark.slow) for one in CONVICTED],
)
def test_an_episode_convicts_what_it_was_built_for(name: str, nodes: int, mutant: str, invariant: str) -> None:
    """Within a few seeds: the chance of a seed is from one in three to certain."""
    schedules = (alone(EPISODES[name], seed, nodes) for seed in range(12))
    assert any(invariant in played(schedule, mutant, until=invariant)[1] for schedule in schedules)


def test_a_snapshot_that_was_acknowledged_too_early_is_lost() -> None:
    episode, mutant = STEERED["snapshot_lost"], "snapshot_ack_before_sync"
    runs = (with_snapshots(alone(episode, seed, 5), 20) for seed in range(12))
    assert any("consistency_check" in played(run, mutant, until="consistency_check")[1] for run in runs)


def test_in_the_first_election_nodes_restart_with_a_term_and_an_empty_log(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[Started] = []
    schedule = alone(FIRST_ELECTION, 1)
    run = VirtualRun(schedule, timing=TIMING, driver=MemoryDriver(parts_of(None)))

    def seen(name: str, incarnation: int, reported: list[Event]) -> None:
        started.extend(event for event in reported if isinstance(event, Started))
        kept(name, incarnation, reported)

    kept = run.trace.node
    monkeypatch.setattr(run.trace, "node", seen)
    assert run.go().analysis.verdict != "violated"
    assert any(event.term > 0 and event.last_index == 0 for event in started)
