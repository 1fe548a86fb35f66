"""The lanes of the nodes, and what clients got over time: from events to spans, points and slices."""

from __future__ import annotations

from raft_chaos.invariants.events import (
    HARNESS,
    CommitAdvanced,
    EntryAppended,
    LeaderObserved,
    LogTruncated,
    NodeKilled,
    NodeLaunched,
    NodePaused,
    NodeResumed,
    PhaseStarted,
    RoleChanged,
    Started,
)
from raft_chaos.invariants.history import Op
from raft_chaos.invariants.verdict import Verdict, Violation
from raft_chaos.reports.facts.commits import MOST_POINTS as MOST_COMMITS
from raft_chaos.reports.facts.commits import commits
from raft_chaos.reports.facts.drawn import drawn_lines
from raft_chaos.reports.facts.lanes import MOST_SPANS, Lane, Span, lanes
from raft_chaos.reports.facts.logs import MOST_STATES, MOST_TERMS, logs
from raft_chaos.reports.facts.moments import moments, phase_spans
from raft_chaos.reports.facts.service import MOST_POINTS, MOST_SLICES, service

S = 1_000_000


def started(t_us: int, inc: int = 1, term: int = 0) -> Started:
    return Started(node="n1", inc=inc, t_us=t_us, term=term, voted_for=None, last_index=0, digest="")


def role(t_us: int, name: str, term: int, inc: int = 1) -> RoleChanged:
    return RoleChanged(node="n1", inc=inc, t_us=t_us, role=name, term=term, leader=None)  # type: ignore[arg-type]


def lane_of(*events: object, harness: tuple[object, ...] = (), end_us: int = 10 * S) -> Lane:
    streams = [list(events)] if events else []
    return lanes(["n1"], streams, list(harness), end_us)[0]  # type: ignore[arg-type]


def states(spans: list[Span]) -> list[tuple[str, int | None, float, float]]:
    return [(span.state, span.term, span.begin_us / S, span.end_us / S) for span in spans]


def test_a_lane_has_roles_and_terms_and_the_time_without_a_process() -> None:
    killed = NodeKilled(node=HARNESS, inc=1, t_us=5 * S, subject="n1", subject_inc=1)
    lane = lane_of(
        started(0),
        role(1 * S, "candidate", 1),
        role(2 * S, "leader", 1),
        started(7 * S, inc=2, term=1),
        harness=(killed,),
    )
    assert states(lane.spans) == [
        ("follower", 0, 0, 1),
        ("candidate", 1, 1, 2),
        ("leader", 1, 2, 5),
        ("down", None, 5, 7),
        ("follower", 1, 7, 10),
    ]


def test_what_a_killed_incarnation_reported_late_does_not_bring_it_back() -> None:
    killed = NodeKilled(node=HARNESS, inc=1, t_us=5 * S, subject="n1", subject_inc=1)
    lane = lane_of(started(0), role(5 * S + 1, "leader", 1), harness=(killed,))
    assert states(lane.spans) == [("follower", 0, 0, 5), ("down", None, 5, 10)]


def test_a_known_leader_alone_is_no_new_span() -> None:
    lane = lane_of(started(0), role(1 * S, "follower", 0), role(2 * S, "follower", 1))
    assert states(lane.spans) == [("follower", 0, 0, 2), ("follower", 1, 2, 10)]


def test_a_pause_lies_over_the_role_and_may_last_until_the_end() -> None:
    paused = NodePaused(node=HARNESS, inc=1, t_us=3 * S, subject="n1", subject_inc=1)
    resumed = NodeResumed(node=HARNESS, inc=1, t_us=4 * S, subject="n1", subject_inc=1)
    again = NodePaused(node=HARNESS, inc=1, t_us=8 * S, subject="n1", subject_inc=1)
    lane = lane_of(started(0), harness=(paused, resumed, again))
    assert states(lane.spans) == [("follower", 0, 0, 10)]
    assert states(lane.paused) == [("paused", None, 3, 4), ("paused", None, 8, 10)]


def test_a_node_without_events_is_up_and_leads_while_no_other_was_seen_to_lead() -> None:
    def seen(node: str, t_us: int) -> LeaderObserved:
        return LeaderObserved(node=HARNESS, inc=1, t_us=t_us, subject=node, subject_inc=1, term=4)

    launched = NodeLaunched(node=HARNESS, inc=1, t_us=0, subject="n1", subject_inc=1)
    lane = lane_of(harness=(launched, seen("n1", 2 * S), seen("n2", 6 * S)))
    assert states(lane.spans) == [("up", None, 0, 2), ("leader", 4, 2, 6), ("up", None, 6, 10)]


def test_a_lane_is_bounded_and_keeps_its_leaders() -> None:
    events = [started(0)]
    for n in range(4 * MOST_SPANS):
        events.append(role((2 * n + 1) * 1_000, "candidate", n))  # type: ignore[arg-type]
        events.append(role((2 * n + 2) * 1_000, "leader" if n % 50 == 0 else "follower", n))  # type: ignore[arg-type]
    lane = lane_of(*events)
    assert len(lane.spans) <= MOST_SPANS
    assert sum(span.merged for span in lane.spans) == 8 * MOST_SPANS + 1
    assert "leader" in {span.state for span in lane.spans}
    assert all(left.end_us == right.begin_us for left, right in zip(lane.spans, lane.spans[1:], strict=False))


# ---- clients -----------------------------------------------------------------------------------------------------


def op(kind: str, process: int, t_us: int) -> Op:
    return Op(type=kind, process=process, client=f"c{process}", op=f"c{process}/{t_us}", f="get", key="k", t_us=t_us)  # type: ignore[arg-type]


def test_each_operation_is_a_point_and_one_without_an_end_waits_until_the_end() -> None:
    history = [
        op("invoke", 0, 0),
        op("invoke", 1, 1 * S),
        op("ok", 0, 2 * S),
        op("invoke", 2, 3 * S),
        op("info", 1, 4 * S),
    ]
    got = service(history, 10 * S)
    assert [(point.t_us // S, point.took_us // S, point.end) for point in got.points] == [
        (0, 2, "ok"),
        (1, 3, "unknown"),
        (3, 7, "unknown"),
    ]
    assert got.unshown == 0


def test_a_time_in_which_all_wait_and_none_is_served_is_an_outage() -> None:
    slices = service([op("invoke", 0, 0), op("ok", 0, 5 * S)], 18 * S).slices
    assert slices[0].end_us == S // 10
    during, last, after = slices[20], slices[50], slices[60]
    assert (during.waited, during.ok) == (1, 0)
    assert (last.waited, last.ok, last.p50_us) == (1, 1, 5 * S)
    assert (after.waited, after.ok, after.p99_us) == (0, 0, None)


def test_points_and_slices_are_bounded_and_the_slowest_are_kept() -> None:
    history = []
    for n in range(MOST_POINTS + 5_000):
        history += [op("invoke", 0, n * 1_000), op("ok", 0, n * 1_000 + (900 if n == 12_345 else 10))]
    got = service(history, history[-1].t_us)
    assert len(got.points) == MOST_POINTS and got.unshown == 5_000
    assert len(got.slices) <= MOST_SLICES
    slowest = max(got.points, key=lambda point: point.took_us)
    assert (slowest.took_us, slowest.rank) == (900, 0.0)
    for begin in range(0, MOST_POINTS, 2_000):  # every part of the run has its fair share at any limit
        part = [point for point in got.points if begin * 1_000 <= point.t_us < (begin + 2_000) * 1_000]
        assert 0.2 < sum(point.rank <= 0.25 for point in part) / 2_000 < 0.3


def test_a_line_of_commits_is_bounded_and_ends_where_the_node_was_last() -> None:
    stream = [CommitAdvanced(node="n1", inc=1, t_us=n * 1_000, index=n, term=1) for n in range(1, 5_001)]
    kept = commits([stream], 5 * S)
    assert len(kept) <= MOST_COMMITS + 1
    assert kept[-1].index == 5_000
    assert 1_234 in [point.index for point in commits([stream], 5 * S, [1_234_000])], "exact where that is asked for"


def appended(t_us: int, index: int, term: int, inc: int = 1) -> EntryAppended:
    return EntryAppended(node="n1", inc=inc, t_us=t_us, index=index, term=term, digest="")


def test_a_log_is_runs_of_terms_and_a_restart_shows_it_when_it_is_recovered() -> None:
    stream = [
        started(0),
        appended(1 * S, 1, 1),
        appended(2 * S, 2, 1),
        appended(3 * S, 3, 2),
        LogTruncated(node="n1", inc=1, t_us=4 * S, from_index=3),
        appended(4 * S, 3, 4),
        Started(node="n1", inc=2, t_us=6 * S, term=4, voted_for=None, last_index=2, digest=""),
        appended(6 * S + 1, 1, 1, 2),
        appended(8 * S, 2, 1, 2),
    ]
    kept = [(state.t_us // S, state.last, state.terms) for state in logs([stream], 10 * S, [])]
    assert kept == [
        (0, 0, []),
        (1, 1, [(1, 1)]),
        (2, 2, [(1, 1)]),
        (3, 3, [(1, 1), (3, 2)]),
        (4, 3, [(1, 1), (3, 4)]),
        (8, 2, [(1, 1)]),
    ]


def test_logs_are_bounded_and_exact_where_that_is_asked_for() -> None:
    stream = [appended(n * 1_000, n, n // 100) for n in range(1, 5_001)]
    kept = logs([stream], 5 * S, [1_234_000])
    assert len(kept) <= MOST_STATES + 3
    assert max(len(state.terms) for state in kept) == MOST_TERMS
    assert max((state for state in kept if state.t_us <= 1_234_000), key=lambda state: state.t_us).last == 1_234


# ---- moments -----------------------------------------------------------------------------------------------------


def test_a_violation_is_marked_where_its_witness_was_complete() -> None:
    witness = ({"t_us": 3 * S, "kind": "role_changed"}, role(5 * S, "leader", 1), "a text")
    found = [
        Verdict("log_matching", "violated", 1, "", (Violation("log_matching", "later", "", ({"t_us": 9 * S},)),), 1),
        Verdict("election_safety", "violated", 1, "", (Violation("election_safety", "two", "", witness),), 1),
        Verdict("durability", "violated", 1, "", (Violation("durability", "when?", ""),), 1),
    ]
    assert [(one.invariant, one.from_us, one.t_us) for one in moments(found)] == [
        ("election_safety", 3 * S, 5 * S),
        ("log_matching", 9 * S, 9 * S),
    ]


def test_phases_follow_each_other() -> None:
    harness = [
        PhaseStarted(node=HARNESS, inc=1, t_us=0, phase="warmup"),
        PhaseStarted(node=HARNESS, inc=1, t_us=2 * S, phase="safety"),
    ]
    assert [(one.phase, one.begin_us, one.end_us) for one in phase_spans(harness, 9 * S)] == [
        ("warmup", 0, 2 * S),
        ("safety", 2 * S, 9 * S),
    ]
    assert phase_spans([], 9 * S) == []


def test_what_was_drawn_is_counted_from_the_schedule() -> None:
    schedule = [
        {"kind": "schedule", "swarm": {"nodes": 5, "reorder": 0.0}},
        {"kind": "fault", "id": "f1", "action": {"type": "kill"}},
        {"kind": "fault", "id": "f2", "action": {"type": "kill"}},
        {"kind": "fault", "id": "f3", "action": "edited"},
        {"kind": "op", "id": "c0/1", "f": "put"},
    ]
    assert drawn_lines(schedule) == ["swarm: nodes 5", "3 faults: 2 kill, 1 ", "1 operation: 1 put"]
    assert drawn_lines([]) == []
