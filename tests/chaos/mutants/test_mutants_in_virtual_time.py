"""Mutants are convicted in `sim`, and a seed that convicts gives the same trace with real processes.

The seeds were found by a search (`python -m bench.convictions` measures how long one takes). If the generation of
schedules changes, search for new seeds: each mutant must be convicted, but not by these seeds.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from raft_chaos.chaos.execution.player import Player
from raft_chaos.chaos.execution.recording import record
from raft_chaos.chaos.faults.catalogue import FaultKind
from raft_chaos.chaos.mutants import MUTANTS, parts_of
from raft_chaos.chaos.mutants.leadership import LEADERSHIP
from raft_chaos.chaos.mutants.membership import MEMBERSHIP
from raft_chaos.chaos.run.lockstep.run import run_lockstep
from raft_chaos.chaos.run.nodes.memory_driver import MemoryDriver
from raft_chaos.chaos.run.settings import Settings, describe
from raft_chaos.chaos.run.sim.world import run_sim
from raft_chaos.chaos.schedule.config import ScheduleConfig
from raft_chaos.chaos.schedule.swarm import SHARED
from raft_chaos.invariants.judge import Judge
from raft_chaos.invariants.rundir import RunDir, RunInfo
from raft_chaos.invariants.trace import first_difference
from raft_chaos.raft.state.timing import Timing

TIMING = Timing(150_000, 300_000, 50_000)

SEEDS = {
    "vote_not_persisted": (1, 8, 20),
    "term_not_persisted": (2, 8, 20),
    "term_then_vote": (31, 8, 20),
    "send_before_persist": (200, 8, 20),
    "vote_cleared_same_term": (17, 8, 20),
    "stale_vote_counted": (8, 8, 20),
    "vote_counted_twice": (3, 8, 20),
    "no_up_to_date_check": (3, 8, 20),
    "timer_not_reset": (1, 8, 20),
    "stale_append_resets_timer": (2, 8, 20),
    "denied_vote_resets_timer": (1, 8, 20),
    "heartbeat_keeps_timer": (1, 8, 20),
    "prevote_enters_term": (2, 8, 20),
    "prevote_survives_leader": (12, 8, 20),
    "quorum_check_forgets_itself": (9, 8, 20),
    "loses_quorum_and_leads": (9, 8, 20),
    "pre_vote_without_log_check": (2, 8, 20),
    "read_index_is_applied": (19, 8, 20),
    "read_confirmed_by_one": (1, 8, 20),
    "read_confirmed_by_earlier_round": (1, 8, 20),
    "pre_vote_while_led": (10, 8, 20),
    "one_pre_vote_is_enough": (2, 8, 20),
    "pre_votes_accumulate": (2, 8, 20),
    "learner_never_promoted": (1, 8, 20),
    "learner_stands": (4, 8, 20),
    "joint_left_to_its_leader": (1, 8, 20),
    "snapshot_has_latest_members": (12, 8, 20),
    "candidate_asks_new_voters": (1, 15, 20),
    "change_answered_at_joint": (1, 8, 20),
    "change_answered_when_appended": (1, 8, 20),
    "change_under_way_is_done": (1, 8, 20),
    "snapshot_sent_without_members": (12, 8, 20),
    "restart_forgets_members_of_snapshot": (33, 15, 20),
    "leader_heeds_candidates": (82, 8, 20),
    "candidates_always_heeded": (9, 8, 20),
    "restart_forgets_leader": (9, 8, 20),
    "prevote_ignores_lower_term": (6, 12, 20),
    "transfer_to_stale_log": (1, 8, 20),
    "transfer_never_given_up": (7, 8, 20),
    "transfer_asks_for_pre_votes": (45, 8, 20),
    "old_timeout_now": (9, 15, 20),
    "ack_before_sync": (6, 8, 20),
    "truncate_on_stale_append": (2, 8, 20),
    "conflict_cut_too_far": (1, 8, 20),
    "conflict_cut_committed": (3, 8, 20),
    "rollback_committed": (11, 8, 20),
    "withdraw_before_step_down": (1, 8, 20),
    "hint_as_match": (1, 12, 40),
    "match_starts_valid": (3, 8, 20),
    "half_is_majority": (4, 8, 20),
    "leader_counts_unsynced_self": (2, 8, 20),
    "older_serial_gets_latest": (17, 8, 20),
    "retransmission_storm": (1, 8, 20),
    "whole_snapshot_each_time": (3, 12, 60),
    "no_no_op": (1, 8, 20),
    "heartbeat_without_commit": (1, 8, 20),
    "entries_put_off_heartbeats": (1, 8, 20),
    "silent_followers_left_alone": (1, 8, 20),
    "stale_leader_named": (1, 8, 20),
    "no_read_index": (1, 8, 20),
    "transfer_never_done": (1, 8, 20),
    "one_snapshot_each_start": (3, 8, 20),
    "bytes_in_flight_leak": (5, 8, 20),
    "any_answer_opens_window": (5, 8, 20),
    "old_term_commit": (42, 10, 20),
    "commit_loop_break": (3, 8, 20),
    "commit_past_match": (5, 8, 20),
    "follower_commit_regress": (3, 8, 20),
    "no_client_dedup": (10, 8, 20),
    "step_down_refuses_commands": (2, 8, 20),
    "given_up_without_answer": (1, 8, 20),
    "never_busy": (80, 8, 20),
    "deposed_leader_reads": (1, 8, 20),
    "prev_zero_reappends": (143, 8, 20),
    "snapshot_keeps_conflict": (3, 8, 20),
    "snapshot_off_by_one": (3, 8, 20),
    "nack_below_snapshot": (25, 8, 60),
    "log_compacted_during_transfer": (3, 12, 30),
    "replay_onto_dirty_state": (17, 8, 20),
    "snapshot_drops_sessions": (3, 8, 20),
    "membership_before_noop": (7, 8, 20),
    "changes_overlap": (1, 8, 20),
    "apply_time_joint": (1, 8, 20),
    "rollback_keeps_membership": (4, 8, 20),
    "snapshot_keeps_newer_membership": (74, 8, 20),
    "learner_refuses_vote": (7, 12, 20),
    "learner_counts": (1, 8, 20),
    "self_removal_counts_itself": (114, 8, 20),
    "removed_leader_leads_on": (12, 8, 20),
    "removed_leader_leaves_early": (1, 8, 20),
    "removed_leader_never_stands": (12, 12, 20),
    "learner_promoted_behind": (4, 12, 20),
    "restore_forgets_waiting": (23, 8, 20),
    "snapshot_drops_suffix": (146, 8, 20),
    "restore_answers_done": (94, 12, 40),
    "silent_learner_promoted": (7, 8, 20),
    "round_of_any_length": (1, 12, 40),
    "session_expiry_by_clock": (1, 8, 20),
    "dedup_in_leader_memory": (1, 8, 20),
    "failures_not_remembered": (33, 8, 20),
    "session_named_by_client": (17, 8, 20),
    "sessions_never_forgotten": (15, 8, 20),
    "oldest_session_forgotten": (15, 8, 20),
    "read_error_matches_nothing": (15, 8, 20),
    "deleted_entry_read_back": (5, 8, 20),
    "commit_meta_first": (221, 8, 20),
    "mark_before_sync": (79, 8, 20),
    "read_joins_round_under_way": (18, 8, 20),
    "recovery_not_synced": (15, 8, 20),
    "folder_not_synced": (100, 8, 20),
    "log_cut_before_snapshot": (13, 8, 20),
    "lease_too_long": (15, 8, 20),
    "phantom_contact": (8, 8, 20),
    "lease_survives_transfer": (168, 8, 20),
}
"""For each mutant a seed, and the seconds and the operations a second with which it convicts."""

LEASES = ("lease_too_long", "phantom_contact", "lease_survives_transfer")
MORE_KINDS: dict[str, tuple[FaultKind, ...]] = {
    **{mutant.id: ("membership",) for mutant in MEMBERSHIP},
    **dict.fromkeys((*LEASES, *(mutant.id for mutant in LEADERSHIP)), ("transfer",)),
    "read_error_matches_nothing": ("disk_error",),
    "recovery_not_synced": ("crash_loop",),
    "folder_not_synced": ("kill_in_sync",),
    "log_cut_before_snapshot": ("kill_in_sync",),
    "mark_before_sync": ("kill_in_sync",),
}
"""The kinds of faults that the seeds of these mutants have beside the others."""


def settings_of(mutant: str, world: str) -> Settings:
    _, duration_s, rate = SEEDS[mutant]
    config = ScheduleConfig(
        nodes=0,
        clients=3,
        swarm=True,
        faults=(*SHARED, *MORE_KINDS.get(mutant, ())),
        warmup_s=1,
        duration_s=duration_s,
        liveness_s=1,
        ops_per_second=rate,
    )
    return Settings(world="lockstep" if world == "lockstep" else "sim", schedule=config, timing=TIMING)


def run(world: str, mutant: str | None, of: str, path: Path, *, fail_fast: bool = True) -> RunInfo:
    seed, settings = SEEDS[of][0], settings_of(of, world)
    schedule, directory = settings.make_schedule(seed), RunDir(path)
    info = describe(settings, seed, schedule, directory)
    carry_out = run_lockstep if world == "lockstep" else run_sim
    return carry_out(schedule, TIMING, mutant, directory, info, fail_fast=fail_fast)


QUICK = 8
"""Of the mutants every eighth is in the quick suite: each has a scenario there, too."""


@pytest.mark.parametrize(
    "mutant",
    [pytest.param(mutant, marks=[] if place % QUICK == 0 else pytest.mark.slow) for place, mutant in enumerate(SEEDS)],
)
def test_a_mutant_is_convicted_in_sim(mutant: str, tmp_path: Path) -> None:
    info = run("sim", mutant, mutant, tmp_path / "mutant")
    violated = {verdict.invariant for verdict in info.invariants if verdict.outcome == "violated"}
    assert violated & set(MUTANTS[mutant].invariants), (
        f"{mutant}: search for another seed; this one violates {violated}"
    )


@pytest.mark.parametrize("mutant", ["old_term_commit", "send_before_persist", "hint_as_match"])
def test_the_unmodified_core_is_not_convicted_by_the_same_seed(mutant: str, tmp_path: Path) -> None:
    right = run("sim", None, mutant, tmp_path / "right")
    assert not [verdict for verdict in right.invariants if verdict.outcome == "violated"]


@pytest.mark.parametrize("mutant", ["deposed_leader_reads", "no_client_dedup"])
def test_the_clients_history_alone_convicts(mutant: str, tmp_path: Path) -> None:
    """Linearizability convicts without events, as for a system that reports none; not the unmodified core."""
    outcomes = {}
    for under_test in (mutant, None):
        path = tmp_path / (under_test or "right")
        run("sim", under_test, mutant, path, fail_fast=False)
        judge = Judge(events_expected=False)
        for op in RunDir(path).operations():
            judge.observe_op(op)
        outcomes[under_test] = next(v.outcome for v in judge.verdicts() if v.invariant == "linearizability")
    assert outcomes == {mutant: "violated", None: "valid"}


def test_an_execution_is_judged_by_the_limit_of_its_nodes() -> None:
    """So that it can be shrunk: `waiting_bounded` knows the limit from the pace, but needs no times."""
    plan, parts = settings_of("never_busy", "sim").make_schedule(SEEDS["never_busy"][0]), parts_of("never_busy")
    simulated, execution = record(plan, TIMING, parts, fail_fast=True)
    assert [one.invariant for one in simulated.analysis.invariants if one.outcome == "violated"] == ["waiting_bounded"]
    assert Player(execution, MemoryDriver(parts)).play().violates("waiting_bounded")


@pytest.mark.live
@pytest.mark.parametrize(
    "mutant",
    [
        "vote_cleared_same_term",
        "truncate_on_stale_append",
        pytest.param("old_term_commit", marks=pytest.mark.slow),
        pytest.param("prev_zero_reappends", marks=pytest.mark.slow),
    ],
)
def test_the_seed_that_convicts_makes_the_same_trace_with_real_processes(mutant: str, tmp_path: Path) -> None:
    """One of each group; `python -m bench.convictions --lockstep` does all."""
    simulated = run("sim", mutant, mutant, tmp_path / "sim")
    real = run("lockstep", mutant, mutant, tmp_path / "lockstep")
    found = first_difference(RunDir(tmp_path / "sim").trace(), RunDir(tmp_path / "lockstep").trace())
    assert found is None
    assert (real.trace_sha256, real.verdict) == (simulated.trace_sha256, "violated")
