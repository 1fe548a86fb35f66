"""The space-time diagram of a violation: its rows in causal order, its arrows, its lit past, and the nodes' states."""

from __future__ import annotations

from raft_chaos.invariants.events import (
    HARNESS,
    CommitAdvanced,
    MessageReceived,
    MessageSent,
    NodePaused,
    NodeResumed,
    RoleChanged,
)
from raft_chaos.invariants.verdict import Violation
from raft_chaos.reports.spacetime.diagram import Arrow, Diagram, Row
from raft_chaos.reports.spacetime.of_run import MOST_ROWS, diagram_of_run
from raft_chaos.reports.story.story import tell
from report_builders import Trace


def drawn(trace: Trace, invariant: str, most: int = MOST_ROWS) -> Diagram:
    made = diagram_of_run(trace.items, tell(trace.items, trace.violation(invariant)), most)
    assert made is not None
    return made


def two_leaders() -> Trace:
    """n2 votes for n1, loses its vote in a crash, and votes for n3 in the same term. n1 hears nothing of n3."""
    trace = Trace("n1", "n2", "n3")
    trace.starts("n1", "n2", "n3")
    trace.wins("n1", 1, "n2")
    trace.dies("n2", term=1)
    trace.send("n3", "n1", "rv")
    trace.wins("n3", 1, "n2")
    return trace


def row(diagram: Diagram, text: str) -> tuple[int, Row]:
    return next((place, one) for place, one in enumerate(diagram.rows) if one.text.startswith(text))


def arrow(diagram: Diagram, type: str, sender: str, receiver: str) -> Arrow:
    return next(one for one in diagram.arrows if (one.type, one.sender, one.receiver) == (type, sender, receiver))


def test_a_turn_of_a_node_is_one_row() -> None:
    diagram = drawn(two_leaders(), "election_safety")
    assert diagram.nodes == ("n1", "n2", "n3")
    assert [(one.who, one.mark, one.text) for one in diagram.rows][3:7] == [
        ("n1", "candidate", "candidate in term 1"),
        ("n2", "vote", "voted for n1 in term 1  ← RequestVote from n1"),
        ("n1", "leader", "leader in term 1  ← RequestVoteReply from n2"),
        (HARNESS, "crash", "killed n2#1"),
    ]
    assert row(diagram, "voted for n1")[1].details == (
        "RequestVote from n1",
        "voted for n1 in term 1",
        "sends RequestVoteReply to n1",
    )


def test_every_row_comes_after_its_causes() -> None:
    diagram = drawn(two_leaders(), "election_safety")
    for place, one in enumerate(diagram.rows):
        assert one.before >> place == 1, one.text  # itself, and nothing below
    for one in diagram.arrows:
        if one.leaves is not None and one.arrives is not None:
            assert one.leaves < one.arrives
            assert diagram.rows[one.arrives].before >> one.leaves & 1


def test_the_witness_stands_out_and_what_led_to_it_is_lit() -> None:
    trace = two_leaders()
    trace.message("n1", "n2", "ae")  # after the second election, but it led to nothing
    diagram = drawn(trace, "election_safety")
    assert [one.text.split(" ", 1)[0] for one in diagram.rows if one.level == "witness"] == ["leader", "leader"]
    assert diagram.rows[-1].level == "witness"
    started, first = row(diagram, "started in term 1")[0], row(diagram, "leader in term 1")[0]
    assert diagram.witness >> started & 1 and diagram.witness >> first & 1


def test_what_did_not_lead_to_the_witness_is_faint() -> None:
    trace = Trace("n1", "n2", "n3")
    trace.starts("n1", "n2", "n3")
    trace.message("n3", "n1", "ae")
    trace.t_us += 20_000
    trace.votes("n1", "n1", 1)
    trace.role("n2", "candidate", 4)  # n1 never hears of it
    trace.dies("n1", term=1)
    diagram = drawn(trace, "one_vote_per_term")
    assert diagram.witness >> row(diagram, "voted for n1")[0] & 1 == 1
    assert diagram.witness >> row(diagram, "candidate in term 4")[0] & 1 == 0


def test_a_message_that_never_arrives_is_lost_and_one_that_arrives_twice_is_drawn_twice() -> None:
    trace = two_leaders()
    diagram = drawn(trace, "election_safety")
    lost = next(one for one in diagram.arrows if one.fate == "lost")
    assert (lost.sender, lost.receiver, lost.arrives) == ("n3", "n1", None)
    trace = Trace("n1", "n2", "n3")
    trace.starts("n1", "n2", "n3")
    trace.role("n1", "candidate", 1)
    request = trace.send("n1", "n2", "rv")
    trace.arrives(request)
    trace.t_us += 90_000
    trace.arrives(request)
    trace.votes("n2", "n1", 1)
    trace.dies("n2", term=1)
    found = [(one.fate, one.took_us) for one in drawn(trace, "one_vote_per_term").arrows]
    assert found == [("arrived", 1_000), ("again", 92_000)]


def test_a_late_message_is_marked() -> None:
    trace = Trace("n1", "n2", "n3")
    trace.starts("n1", "n2", "n3")
    trace.role("n1", "candidate", 1)
    request = trace.send("n1", "n2", "rv")
    trace.t_us += 60_000
    trace.arrives(request)
    trace.votes("n2", "n1", 1)
    trace.dies("n2", term=1)
    assert arrow(drawn(trace, "one_vote_per_term"), "RequestVote", "n1", "n2").fate == "late"


def test_the_states_are_those_that_the_nodes_had_reported() -> None:
    diagram = drawn(two_leaders(), "election_safety")
    place, _ = row(diagram, "voted for n1")
    before, after = diagram.states_at(place - 1)["n2"], diagram.states_at(place)["n2"]
    assert (before.term, before.vote, before.life, before.role) == (0, None, "up", "follower")
    assert (after.term, after.vote) == (1, "n1")
    killed, _ = row(diagram, "killed n2")
    assert diagram.states_at(killed)["n2"].life == "down"
    last = diagram.states_at(len(diagram.rows) - 1)
    assert [last[name].role for name in ("n1", "n2", "n3")] == ["leader", "follower", "leader"]
    assert last["n2"].vote == "n3"


def test_logs_are_runs_of_terms_and_entries_that_differ_are_named() -> None:
    trace = Trace("n1", "n2", "n3")
    trace.starts("n1", "n2", "n3")
    for node, digest in (("n1", "a"), ("n2", "b")):
        trace.appends(node, 1, 1)
        trace.appends(node, 2, 1, digest)
        trace.appends(node, 3, 2, f"{digest}3")
    trace.truncates("n2", 3)
    trace.commits("n1", 2, 2)
    trace.commits("n2", 2, 2)
    diagram = drawn(trace, "state_machine_safety")
    states = diagram.states_at(len(diagram.rows) - 1)
    assert states["n1"].log == ((1, 2), (2, 1))
    assert (states["n2"].log, states["n2"].length, states["n2"].commit) == (((1, 2),), 2, 2)
    assert diagram.rows[-1].unlike == (2,)


def test_a_pause_is_marked() -> None:
    trace = two_leaders()
    at = trace.items.index(
        next(item for item in trace.items if isinstance(item, RoleChanged) and item.role == "leader")
    )
    t_us = trace.items[at].t_us
    paused = NodePaused(node=HARNESS, inc=1, t_us=t_us, subject="n2", subject_inc=1)
    trace.items[at + 1 : at + 1] = [paused, NodeResumed(node=HARNESS, inc=1, t_us=t_us, subject="n2", subject_inc=1)]
    diagram = drawn(trace, "election_safety")
    assert {"pause", "resume"} <= {one.mark for one in diagram.rows}
    assert diagram.states_at(row(diagram, "paused n2")[0])["n2"].life == "paused"
    assert diagram.states_at(row(diagram, "resumed n2")[0])["n2"].life == "up"


def test_however_long_the_run_only_so_much_is_drawn_and_the_gaps_are_counted() -> None:
    trace = Trace("n1", "n2", "n3")
    trace.starts("n1", "n2", "n3")
    trace.wins("n1", 1, "n2")
    trace.heartbeats("n1", "n2", 500)
    trace.dies("n2", term=1)
    trace.wins("n3", 1, "n2")
    diagram = drawn(trace, "election_safety", most=20)
    assert len(diagram.rows) <= 20
    assert diagram.turns > 1_000
    assert sum(one.skipped + 1 for one in diagram.rows[1:]) + 1 == diagram.turns - first_turn(diagram)
    assert [one.level for one in diagram.rows].count("witness") == 2
    whole = {(one.leaves is None, one.arrives is None) for one in diagram.arrows if one.fate in ("arrived", "late")}
    assert (False, False) in whole


def first_turn(diagram: Diagram) -> int:
    return diagram.rows[0].number


def test_the_clients_have_one_column_and_all_rows_above_led_to_a_line_of_theirs() -> None:
    trace = Trace("n1", "n2", "n3")
    trace.starts("n1", "n2", "n3")
    trace.wins("n1", 1, "n2")
    trace.op("invoke", "c1", 1, "put", value="v")
    trace.appends("n1", 1, 1)
    trace.op("ok", "c1", 1, "put", index=1, term=1)
    trace.add("n2", CommitAdvanced, index=1, term=1)
    trace.op("invoke", "c2", 1, "get")
    trace.op("ok", "c2", 1, "get", value=None)
    diagram = drawn(trace, "linearizability")
    assert diagram.nodes == ("n1", "n2", "n3", "clients")
    last = diagram.rows[-1]
    assert (last.mark, last.columns) == ("client", ("clients",))
    assert last.before == (1 << len(diagram.rows)) - 1


def test_a_system_that_reports_no_events_has_no_diagram() -> None:
    trace = Trace()
    trace.op("invoke", "c1", 1, "put", value="v")
    ok = trace.op("ok", "c1", 1, "put")
    violation = Violation("linearizability", "it is not", "the rule", [ok])
    assert diagram_of_run(trace.items, tell(trace.items, violation)) is None


def test_a_system_that_reports_no_messages_has_rows_without_arrows() -> None:
    trace = two_leaders()
    trace.items = [item for item in trace.items if not isinstance(item, MessageSent | MessageReceived)]
    diagram = drawn(trace, "election_safety")
    assert diagram.arrows == ()
    assert diagram.rows[-1].before == (1 << len(diagram.rows)) - 1  # all that was reported earlier may have led to it


def test_a_violation_without_a_witness_has_no_diagram() -> None:
    """A cluster that never commits anything, while no fault stands, breaks `liveness_under_fault` with nothing to
    show."""
    trace = two_leaders()
    violation = Violation("liveness_under_fault", "nothing was committed", "the rule", [])
    assert diagram_of_run(trace.items, tell(trace.items, violation)) is None
