"""The tally of node events, and the analysis of a run from verdicts, harness events, tally and history."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from builders.campaigns import ALWAYS_CONVICTED, settings
from builders.commands import only_run
from builders.schedules import schedule
from raft_chaos.chaos.campaign.seed import run_seed
from raft_chaos.chaos.judgement.analysis import Analysis, Tally, analyse, conclude
from raft_chaos.chaos.judgement.vacuity import COMPLETED
from raft_chaos.chaos.processes.shortage import HarnessError
from raft_chaos.chaos.run.directory import failure_marked
from raft_chaos.chaos.schedule.data import Operation, Schedule
from raft_chaos.invariants.events import (
    HARNESS,
    CommitAdvanced,
    EntryApplied,
    Event,
    LogTruncated,
    MessageReceived,
    MessageSent,
    NodeLaunched,
    PhaseStarted,
    RoleChanged,
    RunEnded,
    Started,
    encode,
)
from raft_chaos.invariants.history import Op
from raft_chaos.invariants.verdict import Outcome, Verdict


def started(node: str, inc: int) -> Started:
    return Started(node=node, inc=inc, t_us=0, term=0, voted_for=None, last_index=0, digest="")


def leads(node: str, term: int) -> RoleChanged:
    return RoleChanged(node=node, inc=1, t_us=0, role="leader", term=term, leader=node)


def commits(node: str, index: int) -> CommitAdvanced:
    return CommitAdvanced(node=node, inc=1, t_us=0, index=index, term=1)


EVENTS: list[Event] = [
    started("n1", 1),
    started("n2", 1),
    RoleChanged(node="n1", inc=1, t_us=0, role="candidate", term=9, leader=None),
    leads("n1", 2),
    leads("n1", 2),
    MessageSent(node="n1", inc=1, t_us=0, to="n2", number=1, type="AppendEntries"),
    MessageSent(node="n1", inc=1, t_us=0, to="n2", number=2, type="AppendEntries"),
    MessageReceived(node="n2", inc=1, t_us=0, sender="n1", sender_inc=1, number=2, type="AppendEntries"),
    commits("n1", 7),
    commits("n2", 3),
    EntryApplied(node="n2", inc=1, t_us=0, index=8, term=1, digest="d"),
    started("n2", 2),
    LogTruncated(node="n2", inc=2, t_us=0, from_index=8),
    leads("n2", 3),
]


def tally(events: list[Event]) -> Tally:
    made = Tally()
    for event in events:
        made.observe(event)
    return made


@pytest.mark.parametrize("events", [EVENTS, EVENTS[::-1]], ids=["in order", "reversed"])
def test_the_tally_does_not_depend_on_the_order_of_events(events: list[Event]) -> None:
    counted = tally(events)
    assert counted.events == len(EVENTS)
    assert set(counted.leader_terms) == {2, 3}
    assert counted.highest_commit == 7
    assert counted.started == {("n1", 1), ("n2", 1), ("n2", 2)}
    assert counted.truncations == 1
    assert (counted.messages_sent, counted.messages_received) == (2, 1)


def test_an_empty_tally_is_zero() -> None:
    empty = Tally()
    assert (empty.events, empty.highest_commit, empty.truncations) == (0, 0, 0)
    assert (empty.messages_sent, empty.messages_received) == (0, 0)
    assert not empty.leader_terms and not empty.started


# ---- the conclusion -----------------------------------------------------------------------------------------------

HARNESS_EVENTS: list[Event] = [
    NodeLaunched(node=HARNESS, inc=1, t_us=0, subject="n1", subject_inc=1),
    NodeLaunched(node=HARNESS, inc=1, t_us=0, subject="n2", subject_inc=1),
    PhaseStarted(node=HARNESS, inc=1, t_us=0, phase="warmup"),
    NodeLaunched(node=HARNESS, inc=1, t_us=0, subject="n2", subject_inc=2),
    RunEnded(node=HARNESS, inc=1, t_us=9, reason=COMPLETED),
]
HISTORY = [
    Op(type=kind, process=0, client="c0", op="c0/0", f="put", key="x", t_us=1, value="0") for kind in ("invoke", "ok")
]


def plan() -> Schedule:
    bare = schedule(safety_us=(100, 200), liveness_us=100, clients=1, every_us=0)
    one = Operation(id="c0/0", client="c0", at_us=50, f="put", key="x", value="0")
    return msgspec.structs.replace(bare, operations=[one])


def concluded(*outcomes: Outcome, counted: Tally | None = None, damage: tuple[str, ...] = ()) -> Analysis:
    verdicts = [Verdict(f"invariant {number}", outcome, 1) for number, outcome in enumerate(outcomes)]
    return conclude(plan(), verdicts, HARNESS_EVENTS, counted, HISTORY, extra_stats={"virtual_s": 1.5}, damage=damage)


def test_the_worst_verdict_counts_and_a_vacuous_valid_run_is_unknown() -> None:
    counted = tally(EVENTS)
    assert concluded("valid", "valid", counted=counted).verdict == "valid"
    assert concluded("valid", "unknown", counted=counted).verdict == "unknown"
    assert concluded("unknown", "violated", counted=counted).verdict == "violated"
    vacuous = concluded("valid", counted=tally(EVENTS[:-1]))
    assert (vacuous.verdict, len(vacuous.vacuous)) == ("unknown", 1)
    assert concluded("violated", counted=tally(EVENTS[:-1])).verdict == "violated"
    damaged = concluded("violated", "valid", counted=counted, damage=("a line is missing",))
    assert (damaged.verdict, damaged.vacuous) == ("unknown", ["a line is missing"])
    assert [verdict.outcome for verdict in damaged.invariants] == ["unknown", "valid"], "nothing convicts"


def test_the_numbers_are_those_of_harness_tally_and_history() -> None:
    assert concluded("valid", counted=tally(EVENTS)).stats == {
        "faults": 0,
        "faults_fired": 0,
        "faults_effective": 0,
        "restarts": 1,
        "elections": 2,
        "max_term": 3,
        "committed": 7,
        "truncations": 1,
        "messages_sent": 2,
        "messages_received": 1,
        "events": len(EVENTS),
        "ops": 1,
        "ops_ok": 1,
        "ops_fail": 0,
        "ops_info": 0,
        "clean_ops_planned": 1,
        "clean_ops_required": 1,
        "clean_ops_served": 1,
        "virtual_s": 1.5,
    }


def test_a_target_without_events_need_not_report_any() -> None:
    analysis = concluded("valid")
    assert (analysis.verdict, analysis.vacuous) == ("valid", [])
    assert (analysis.stats["events"], analysis.stats["elections"], analysis.stats["restarts"]) == (0, 0, 1)


# ---- a run in which the harness itself failed ---------------------------------------------------------------------


@pytest.mark.parametrize("said_in", ["run.json", "the last event"])
def test_a_run_in_which_the_harness_failed_convicts_nobody(tmp_path: Path, said_in: str) -> None:
    run_seed(settings(ALWAYS_CONVICTED), 1, tmp_path)
    run = only_run(tmp_path)
    assert analyse(run).verdict == "violated"
    info, why = run.load_info(), "the harness failed: it ran out of memory"
    if said_in == "run.json":
        with pytest.raises(HarnessError, match="it ran out of memory"), failure_marked(run, info):
            raise MemoryError
    else:
        info.state, info.evidence = "running", None
        run.save_info(info)
        *events, end = run.harness_events()
        assert isinstance(end, RunEnded)
        lines = [encode(event) for event in (*events, msgspec.structs.replace(end, reason=why))]
        run.harness.write_bytes(b"".join(lines))
    analysis = analyse(run)
    assert analysis.verdict == "unknown"
    assert {(verdict.outcome, verdict.reason) for verdict in analysis.invariants} == {("unknown", why)}
    assert analysis.vacuous.count(why) == 1
