"""A violation's story: the causes for each kind of witness, the links of messages, and its limits."""

from __future__ import annotations

import itertools
from collections import defaultdict
from random import Random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raft_chaos.invariants.causal_order import message_id
from raft_chaos.invariants.events import (
    HARNESS,
    EntryApplied,
    FaultHealed,
    MessageReceived,
    MessageSent,
    NodeExited,
    NodeKilled,
    PhaseStarted,
    RunEnded,
    VoteGranted,
)
from raft_chaos.invariants.history import Op
from raft_chaos.invariants.verdict import Violation
from raft_chaos.reports.story.happens_before import Item, happens_before
from raft_chaos.reports.story.story import FEW_LINES, MOST_LINES, Story, document, tell, text
from report_builders import TYPES, Trace

LONG = 30
"""Rounds of heartbeats after which a story no longer has all events before."""


def begun(rounds: int = LONG) -> Trace:
    """n1 leads in term 1, by the vote of n2, and has sent heartbeats since."""
    trace = Trace("n1", "n2", "n3")
    trace.starts("n1", "n2", "n3")
    trace.wins("n1", 1, "n2")
    for follower in ("n2", "n3"):
        trace.heartbeats("n1", follower, rounds)
    return trace


def story(trace: Trace, invariant: str) -> Story:
    return tell(trace.items, trace.violation(invariant))


def said(trace: Trace, invariant: str) -> list[str]:
    """The lines of the story: mark, who, what and the notes."""
    shown = text(story(trace, invariant), 200)
    lines = shown[shown.index("") + 1 : -2]
    return [line[0] + line[16:] for line in lines]


# ---- each kind of violation ----------------------------------------------------------------------------------------


def test_two_leaders_of_a_term() -> None:
    trace = Trace("n1", "n2", "n3")
    trace.starts("n1", "n2", "n3")
    trace.wins("n1", 1, "n2")
    trace.dies("n2", term=1)
    trace.wins("n3", 1, "n2")
    assert text(story(trace, "election_safety")) == [
        "VIOLATED term 1 has two leaders: n1 (incarnation 1) and n3 (incarnation 1)",
        "Election Safety: At most one server is ever elected leader in a given term (Figure 3, §5.2).",
        "",
        "   1  0.001000  n1#1         started in term 0, no vote, log empty",
        "   2  0.002000  n2#1         started in term 0, no vote, log empty",
        "   3  0.003000  n3#1         started in term 0, no vote, log empty",
        "   4  0.004000  n1#1         became candidate in term 1",
        "   5  0.005000  n1#1         voted for n1 in term 1",
        "   6  0.007000  n2#1 < n1#1  RequestVote #1  (from line 5)",
        "   7  0.008000  n2#1         voted for n1 in term 1",
        "   8  0.010000  n1#1 < n2#1  RequestVoteReply #2  (from line 7)",
        "*  9  0.011000  n1#1         became leader in term 1",
        "  10  0.012000  harness      killed n2#1",
        "  11  0.013000  n2#2         started in term 1, no vote, log empty",
        "  12  0.014000  n3#1         became candidate in term 1",
        "  13  0.015000  n3#1         voted for n3 in term 1",
        "  14  0.017000  n2#2 < n3#1  RequestVote #3  (from line 13)",
        "  15  0.018000  n2#2         voted for n3 in term 1",
        "  16  0.020000  n3#1 < n2#2  RequestVoteReply #4  (from line 15)",
        "* 17  0.021000  n3#1         became leader in term 1",
        "",
        "* the witness. Nothing that happened before is left out.",
    ]


def test_a_vote_of_an_earlier_term_that_was_counted() -> None:
    trace = begun()
    trace.role("n3", "candidate", 2)
    request = trace.send("n3", "n2", "rv")
    trace.arrives(request)
    trace.votes("n2", "n3", 2)
    reply = trace.send("n2", "n3", "rvr")
    trace.role("n3", "candidate", 3)
    trace.arrives(reply)
    trace.role("n3", "leader", 3)
    trace.wins("n1", 3, "n2")
    assert said(trace, "election_safety")[:6] == [
        " n3#1         became candidate in term 2",
        " n2#1 < n3#1  RequestVote #123  (from line 1)",
        " n2#1         voted for n3 in term 2",
        " n3#1         became candidate in term 3",
        " n3#1 < n2#1  RequestVoteReply #124  (from line 3; n2 had reported no vote for it in term 3)",
        "*n3#1         became leader in term 3  (only 0 of 3 nodes had voted for it in this term)",
    ]


def test_a_vote_that_was_never_reported() -> None:
    trace = begun()
    trace.role("n3", "candidate", 2)
    trace.message("n2", "n3", "rvr")
    trace.role("n3", "leader", 2)
    trace.dies("n2", term=1)
    trace.role("n2", "candidate", 2)
    trace.message("n3", "n2", "rvr")
    trace.role("n2", "leader", 2)
    lines = said(trace, "election_safety")
    assert " n3#1 < n2#1  RequestVoteReply #123  (n2 had reported no vote for it in term 2)" in lines
    assert lines.index(" harness      killed n2#1") < lines.index(" n2#2         became candidate in term 2")


def test_two_votes_in_a_term_and_the_change_of_role_between() -> None:
    trace = begun()
    trace.role("n1", "candidate", 2)
    trace.role("n3", "candidate", 2)
    trace.message("n1", "n2", "rv")
    trace.votes("n2", "n1", 2)
    trace.message("n1", "n2", "ae")
    trace.role("n2", "follower", 2, "n1")
    trace.message("n3", "n2", "rv")
    trace.votes("n2", "n3", 2)
    assert said(trace, "one_vote_per_term") == [
        " n1#1         became candidate in term 2",
        " n3#1         became candidate in term 2",
        " n2#1 < n1#1  RequestVote #123  (from line 1)",
        "*n2#1         voted for n1 in term 2",
        " n2#1 < n1#1  AppendEntries #124  (from line 1)",
        " n2#1         became follower in term 2, leader n1",
        " n2#1 < n3#1  RequestVote #125  (from line 2)",
        "*n2#1         voted for n3 in term 2",
    ]


def test_a_vote_that_a_restart_forgot() -> None:
    trace = begun()
    trace.dies("n2", term=1)
    assert said(trace, "one_vote_per_term") == [
        " n1#1         became candidate in term 1",
        " n2#1 < n1#1  RequestVote #1  (from line 1)",
        "*n2#1         voted for n1 in term 1",
        " n1#1         became leader in term 1",
        " harness      killed n2#1",
        "*n2#2         started in term 1, no vote, log empty",
    ]


def test_a_leader_without_a_committed_entry_that_its_voter_had_truncated() -> None:
    trace = begun()
    trace.appends("n1", 1, 1)
    late = trace.send("n1", "n2", "ae")
    trace.replicates("n1", "n2", 1, 1)
    trace.commits("n1", 1, 1)
    trace.arrives(late)
    trace.truncates("n2", 1)
    trace.wins("n3", 2, "n2")
    assert said(trace, "leader_completeness") == [
        " n1#1         became candidate in term 1  (log is empty)",
        " n1#1         became leader in term 1",
        "*n1#1         appended 1 (term 1) 1@1",
        " n2#1 < n1#1  AppendEntries #124  (from line 3)",
        " n2#1         appended 1 (term 1) 1@1",
        " n1#1 < n2#1  AppendEntriesReply #125  (from line 5; n2's log: up to 1 (term 1))",
        "*n1#1         committed up to 1 in term 1",
        " n2#1 < n1#1  AppendEntries #123  (from line 3; overtaken by #124)",
        " n2#1         truncates its log from 1 on",
        " n3#1         became candidate in term 2  (log is empty)",
        " n2#1 < n3#1  RequestVote #126  (from line 10)",
        " n2#1         voted for n3 in term 2  (log is empty)",
        " n3#1 < n2#1  RequestVoteReply #127  (from line 12)",
        "*n3#1         became leader in term 2",
    ]


def test_a_commit_without_a_majority_says_so() -> None:
    trace = begun()
    trace.appends("n1", 1, 1)
    trace.message("n2", "n1", "aer")
    trace.commits("n1", 1, 1)
    trace.wins("n3", 2, "n2")
    lines = said(trace, "leader_completeness")
    assert "*n1#1         committed up to 1 in term 1  (only 1 of 3 nodes had the entry)" in lines
    assert " n1#1 < n2#1  AppendEntriesReply #123  (n2's log is empty)" in lines


def test_two_entries_committed_at_an_index() -> None:
    trace = begun()
    trace.appends("n1", 1, 1)
    trace.replicates("n1", "n2", 1, 1)
    trace.commits("n1", 1, 1)
    trace.wins("n3", 2, "n2")
    trace.appends("n3", 1, 2)
    trace.message("n3", "n2", "ae")
    trace.truncates("n2", 1)
    trace.appends("n2", 1, 2)
    trace.message("n2", "n3", "aer")
    trace.commits("n3", 1, 2)
    lines = said(trace, "state_machine_safety")
    marked = [line for line in lines if line.startswith("*")]
    assert [line[14:] for line in marked] == [
        "appended 1 (term 1) 1@1",
        "committed up to 1 in term 1",
        "appended 1 (term 2) 1@2",
        "committed up to 1 in term 2",
    ]
    # What decided it: a voter that had the entry, and then gave it up.
    assert " n2#1         voted for n3 in term 2  (log: up to 1 (term 1))" in lines
    assert " n2#1         truncates its log from 1 on" in lines


def test_two_states_behind_one_entry() -> None:
    trace = begun()
    trace.appends("n1", 1, 1)
    trace.replicates("n1", "n2", 1, 1)
    trace.commits("n1", 1, 1)
    trace.add("n1", EntryApplied, index=1, term=1, digest="a")
    trace.message("n1", "n2", "ae")
    trace.commits("n2", 1, 1)
    trace.add("n2", EntryApplied, index=1, term=1, digest="b")
    assert said(trace, "state_machine_safety")[-5:] == [
        " n1#1         committed up to 1 in term 1",
        "*n1#1         applied 1 (term 1), state a",
        " n2#1 < n1#1  AppendEntries #125  (from line 8)",
        " n2#1         committed up to 1 in term 1",
        "*n2#1         applied 1 (term 1), state b",
    ]


def test_a_leader_that_truncates_its_own_log() -> None:
    trace = begun()
    trace.appends("n1", 1, 1)
    trace.message("n2", "n1", "ae")
    trace.truncates("n1", 1)
    assert said(trace, "leader_append_only")[-3:] == [
        "*n1#1         appended 1 (term 1) 1@1",
        " n1#1 < n2#1  AppendEntries #123  (from line 3)",
        "*n1#1         truncates its log from 1 on",
    ]


def test_one_index_and_term_with_two_logs() -> None:
    trace = begun()
    trace.appends("n1", 1, 1)
    trace.message("n1", "n2", "ae")
    trace.appends("n2", 1, 1, "other")
    assert said(trace, "log_matching")[-3:] == [
        "*n1#1         appended 1 (term 1) 1@1",
        " n2#1 < n1#1  AppendEntries #123  (from line 3)",
        "*n2#1         appended 1 (term 1) other",
    ]


def test_a_commit_index_that_goes_back() -> None:
    trace = begun()
    for index in (1, 2):
        trace.appends("n1", index, 1)
        trace.replicates("n1", "n2", index, 1)
        trace.commits("n1", index, 1)
    trace.message("n1", "n2", "ae")
    trace.commits("n2", 2, 1)
    trace.message("n1", "n2", "ae")
    trace.commits("n2", 1, 1)
    assert said(trace, "monotonicity")[-5:] == [
        " n1#1         committed up to 2 in term 1",
        " n2#1 < n1#1  AppendEntries #127  (from line 10)",
        "*n2#1         committed up to 2 in term 1",
        " n2#1 < n1#1  AppendEntries #128  (from line 10)",
        "*n2#1         committed up to 1 in term 1",
    ]


def test_an_entry_that_a_restart_lost_and_the_fault_over_it() -> None:
    trace = begun()
    trace.fault("f1", "clog", "n2")
    trace.fault("f2", "clog", "n3")
    trace.appends("n1", 1, 1)
    trace.replicates("n1", "n2", 1, 1)
    trace.dies("n2", term=1, voted_for="n1")
    trace.add(HARNESS, FaultHealed, fault="f1", type="clog", effective=True)
    lines = said(trace, "durability")
    assert lines[2] == " harness      fault f1 clog: clog it is"
    assert lines[-5:] == [
        " n1#1         appended 1 (term 1) 1@1",
        " n2#1 < n1#1  AppendEntries #123  (from line 4)",
        "*n2#1         appended 1 (term 1) 1@1",
        " harness      killed n2#1",
        "*n2#2         started in term 1, voted for n1, log empty",
    ]
    assert not any("f2" in line for line in lines)  # n3 plays no part


def test_a_node_that_ended_by_itself() -> None:
    trace = begun()
    trace.message("n1", "n2", "ae")
    trace.appends("n2", 1, 1)
    trace.fault("f1", "pause", "n2")
    trace.add(HARNESS, NodeExited, subject="n2", subject_inc=1, exit_code=1, log_tail="KeyError")
    assert said(trace, "unexpected_exit")[-4:] == [
        " n2#1 < n1#1  AppendEntries #123",
        " n2#1         appended 1 (term 1) 1@1",
        " harness      fault f1 pause: pause it is",
        "*harness      n2#1 ended by itself with exit code 1: KeyError",
    ]


def test_a_recovery_story_has_the_owed_nodes_and_the_progress_of_each() -> None:
    trace = begun()
    trace.appends("n1", 1, 1)
    trace.replicates("n1", "n2", 1, 1)
    trace.commits("n1", 1, 1)
    trace.add("n1", EntryApplied, index=1, term=1, digest="a")
    trace.add(HARNESS, PhaseStarted, phase="liveness", commit_target=1, owed=("n1", "n3"), within_us=5_000)
    trace.commits("n1", 2, 1)
    trace.heartbeats("n1", "n3", LONG)
    trace.role("n2", "candidate", 2)
    trace.add(HARNESS, RunEnded, reason="done")
    last = trace.t_us // 1_000
    assert said(trace, "recovery") == [
        " n1#1         became candidate in term 1",
        " n1#1         became leader in term 1",
        " n1#1         applied 1 (term 1), state a",
        "*harness      phase liveness begins, commit target 1, owed by n1, n3, owed within 0.005 s  "
        "(after it 1 candidacy, 0 elections won)",
        " n3#1 < n1#1  AppendEntries #183  (from line 3)",
        " n1#1 < n3#1  AppendEntriesReply #184  (from line 5)",
        " n2#1         became candidate in term 2",
        "*harness      the run ended: done",
    ]
    assert last > 300


@pytest.mark.parametrize("invariant", ["acknowledged_writes", "monotonic_reads"])
def test_a_write_that_a_read_does_not_show(invariant: str) -> None:
    trace = begun()
    trace.op("invoke", "c0", 1, "append", value="a")
    trace.appends("n1", 1, 1)
    trace.replicates("n1", "n2", 1, 1)
    trace.commits("n1", 1, 1)
    trace.add("n1", EntryApplied, index=1, term=1, digest="a")
    trace.op("ok", "c0", 1, "append", index=1, term=1)
    trace.op("invoke", "c2", 1, "get")
    trace.op("ok", "c2", 1, "get", value=["a"], index=1, term=1)
    trace.wins("n3", 2, "n2")
    trace.message("n3", "n1", "ae")
    trace.truncates("n1", 1)
    trace.op("invoke", "c1", 1, "get")
    trace.op("ok", "c1", 1, "get", value=[])
    lines = said(trace, invariant)
    assert lines[-2:] == ["*c1           invoke c1/1 get k", "*c1           ok c1/1 = []"]
    for expected in (
        " n1#1         committed up to 1 in term 1",
        " n1#1         applied 1 (term 1), state a",
        " n3#1         became leader in term 2",
        " n1#1 < n3#1  AppendEntries #127  (from line %d)",
        " n1#1         truncates its log from 1 on",
    ):
        place = next(p for p, line in enumerate(lines, 1) if "leader in term 2" in line)
        assert (expected % place if "%" in expected else expected) in lines


# ---- which message brought it --------------------------------------------------------------------------------------


def test_an_event_that_waited_for_the_disk_belongs_to_the_message_of_its_time() -> None:
    trace = begun()
    trace.appends("n1", 1, 1)
    brought = trace.message("n1", "n2", "ae")
    later = trace.message("n1", "n2", "ae")
    trace.appends("n2", 1, 1, "other", t_us=brought.t_us)
    arrivals = [line.event for line in story(trace, "log_matching").lines if isinstance(line.event, MessageReceived)]
    assert brought in arrivals and later not in arrivals


def test_a_vote_belongs_to_the_request_of_its_candidate() -> None:
    trace = begun()
    asked = trace.message("n1", "n2", "rv")
    trace.message("n3", "n2", "rv")
    trace.votes("n2", "n1", 2)
    trace.dies("n2", term=2)
    arrivals = [
        line.event for line in story(trace, "one_vote_per_term").lines if isinstance(line.event, MessageReceived)
    ]
    assert arrivals == [asked]


def test_an_event_before_any_message_of_its_incarnation_has_none() -> None:
    trace = begun()
    trace.message("n1", "n2", "ae")
    trace.dies("n2", term=1, voted_for="n1")
    trace.appends("n1", 1, 1)
    trace.appends("n2", 1, 1, "other")
    assert not any(line.event.node == "n2" for line in story(trace, "log_matching").lines if is_arrival(line.event))


def is_arrival(item: Item) -> bool:
    return isinstance(item, MessageReceived)


def test_the_line_of_a_restart_represents_the_recovered_entries() -> None:
    trace = Trace("n1", "n2", "n3")
    trace.starts("n1", "n2")
    first = trace.appends("n1", 1, 1)
    trace.dies("n1", term=1, last_index=1, digest="1@1")
    again = trace.appends("n1", 1, 1)
    trace.message("n1", "n2", "ae")
    trace.appends("n2", 1, 1, "other")
    events = [line.event for line in story(trace, "log_matching").lines]
    assert first in events and again not in events


def test_a_lost_message_is_shown_where_it_was_sent_if_little_happened() -> None:
    trace = Trace("n1", "n2", "n3")
    trace.starts("n1", "n2")
    trace.role("n1", "candidate", 1)
    trace.send("n1", "n3", "rv")
    trace.votes("n1", "n1", 1)
    late = trace.send("n1", "n2", "rv")
    trace.dies("n1", term=1)
    violation = trace.violation("one_vote_per_term")
    trace.arrives(late)
    lines = tell(trace.items, violation).lines
    assert [(line.note, line.lost) for line in lines if isinstance(line.event, MessageSent)] == [
        ("never arrives", True),
        ("arrives later", False),
    ]


def test_a_duplicate_and_a_slow_message_are_annotated() -> None:
    trace = Trace("n1", "n2")
    trace.starts("n1", "n2")
    sent = trace.send("n1", "n2", "ae")
    trace.t_us += 100_000
    trace.arrives(sent)
    trace.arrives(sent)
    trace.votes("n2", "n1", 1)
    trace.votes("n2", "n2", 1)
    notes = [line.note for line in story(trace, "one_vote_per_term").lines if is_arrival(line.event)]
    assert notes == ["took 101 ms", "took 102 ms; for the second time"]


def test_concurrent_events_of_other_nodes_did_not_happen_before() -> None:
    trace = Trace("n1", "n2", "n3")
    trace.starts("n1", "n2", "n3")
    trace.message("n1", "n3", "ae")
    concurrent = trace.votes("n3", "n3", 1)
    trace.fault("f1", "pause", "n3")
    trace.votes("n2", "n2", 1)
    trace.votes("n2", "n1", 1)
    unsent = trace.send("n2", "n3", "rvr")
    shown = story(trace, "one_vote_per_term")
    assert {line.event.node for line in shown.lines} == {"n2"}
    assert concurrent not in [line.event for line in shown.lines]
    assert unsent not in [line.event for line in shown.lines]
    assert shown.events_before == 3


def test_without_messages_all_earlier_events_may_be_causes() -> None:
    trace = Trace("n1", "n2", "n3")
    trace.starts("n1", "n2", "n3")
    trace.role("n1", "leader", 1)
    trace.role("n3", "leader", 1)
    shown = story(trace, "election_safety")
    assert len(shown.lines) == shown.events_before == 5
    assert not any(line.note for line in shown.lines)  # nobody knows how many votes had arrived


def test_a_witness_read_from_a_file_is_found() -> None:
    trace = begun()
    trace.op("invoke", "c0", 1, "append", value="a")
    trace.op("ok", "c0", 1, "append")
    trace.op("invoke", "c1", 1, "get")
    trace.op("ok", "c1", 1, "get", value=[])
    for invariant in ("acknowledged_writes",):
        violation = trace.violation(invariant)
        plain = msgspec.convert(msgspec.to_builtins(violation), Violation)
        assert plain.witness != violation.witness
        assert tell(trace.items, plain).lines == tell(trace.items, violation).lines


def test_a_witness_that_the_trace_lacks_comes_last() -> None:
    trace = Trace("n1", "n2")
    trace.starts("n1", "n2")
    trace.message("n1", "n2", "ae")
    missing = VoteGranted(node="n9", inc=1, t_us=5, term=1, candidate="n9")
    shown = tell(trace.items, Violation("one_vote_per_term", "m", "r", (missing,)))
    assert [(line.event, line.witness) for line in shown.lines] == [(missing, True)]


# ---- what holds of every story -------------------------------------------------------------------------------------


def random_trace(random: Random, steps: int) -> list[Item]:
    """Four nodes that send, receive, fail and report at random, and a client."""
    trace = Trace("n1", "n2", "n3", "n4")
    trace.starts(*trace.inc)
    under_way: list[MessageSent] = []
    for _ in range(steps):
        node, other = random.sample(sorted(trace.inc), 2)
        index, term = random.randint(1, 4), random.randint(1, 3)
        match random.randrange(12):
            case 0 | 1 | 2:
                under_way.append(trace.send(node, other, random.choice(sorted(TYPES))))
            case 3 | 4 | 5 if under_way:
                place = random.randrange(len(under_way))
                trace.arrives(under_way[place] if random.random() < 0.1 else under_way.pop(place))
            case 6:
                trace.role(node, random.choice(["follower", "candidate", "leader"]), term)
            case 7:
                trace.votes(node, other, term)
            case 8:
                trace.appends(node, index, term, t_us=trace.t_us - random.randrange(3_000))
            case 9:
                trace.commits(node, index, term)
            case 10:
                rarely(random.randrange(6), trace, node, other, index, term)
            case _:
                trace.op(random.choice(["invoke", "ok"]), "c0", index, "get", value=["a"], index=index, term=term)
    return trace.items


def rarely(what: int, trace: Trace, node: str, other: str, index: int, term: int) -> None:
    match what:
        case 0:
            trace.truncates(node, index)
        case 1:
            trace.dies(node, term=term, last_index=index)
        case 2:
            trace.fault(f"f{index}", "pause", node, other)
        case 3:
            trace.add(node, EntryApplied, index=index, term=term, digest="")
        case 4:
            trace.exits(node)
        case _:
            trace.add(HARNESS, PhaseStarted, phase="liveness", commit_target=index, owed=(node,))


def skewed(random: Random, items: list[Item]) -> list[Item]:
    """The same lines of each node in another interleaving, as clocks that differ would merge them."""
    streams: defaultdict[str, list[Item]] = defaultdict(list)
    for item in items:
        streams[item.client if isinstance(item, Op) else item.node].append(item)
    mixed: list[Item] = []
    while streams:
        name = random.choice(sorted(streams))
        mixed.append(streams[name].pop(0))
        if not streams[name]:
            del streams[name]
    return mixed


def before(items: list[Item]) -> list[set[int]]:
    """For each place, the places that happened before it: by the node's own order, and by messages."""
    streams: defaultdict[str, list[int]] = defaultdict(list)
    sent = {message_id(item): place for place, item in enumerate(items) if isinstance(item, MessageSent)}
    direct: list[list[int]] = []
    for place, item in enumerate(items):
        stream = streams[item.client if isinstance(item, Op) else item.node]
        direct.append(stream[-1:])
        stream.append(place)
        if isinstance(item, MessageReceived):
            direct[place].append(sent[message_id(item)])
    known: list[set[int]] = [set() for _ in items]
    for _ in items:  # enough rounds for the longest chain; it mostly ends after a few
        grown = [set(earlier).union(*(known[place] for place in earlier)) for earlier in direct]
        if grown == known:
            break
        known = grown
    return known


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), steps=st.integers(1, 250), skew=st.booleans())
def test_a_story_has_the_witness_keeps_causal_order_and_is_short(seed: int, steps: int, skew: bool) -> None:
    random = Random(seed)
    items = random_trace(random, steps)
    if skew:
        items = skewed(random, items)
    witness = random.sample(items, min(len(items), random.randint(1, 4)))
    shown = tell(items, Violation("any", "message", "rule", tuple(witness)))
    places = [find(items, line.event) for line in shown.lines]
    assert sorted(find(items, event) for event in witness) == sorted(
        place for place, line in zip(places, shown.lines, strict=True) if line.witness
    )
    assert len(places) == len(set(places)) <= MOST_LINES
    earlier = before(items)
    for one, other in itertools.combinations(places, 2):
        assert other not in earlier[one]
    for place, line in zip(places, shown.lines, strict=True):
        if line.came_from is not None:
            assert places[line.came_from - 1] in earlier[place]
    assert shown.events_before == len(shown.lines) + sum(shown.left_out.values()) + told_by_arrivals(shown, items)


def find(items: list[Item], event: Item) -> int:
    return next(place for place, item in enumerate(items) if item is event)


def told_by_arrivals(shown: Story, items: list[Item]) -> int:
    """Messages sent whose line stands where they arrived."""
    past = [line.event for line in shown.lines]
    trace = {message_id(event) for event in past if isinstance(event, MessageReceived)}
    trace -= {message_id(event) for event in past if isinstance(event, MessageSent)}
    return len(trace)


@pytest.mark.parametrize("rounds", [LONG, 10 * LONG])
def test_a_longer_run_makes_no_longer_story(rounds: int) -> None:
    trace = begun(rounds)
    trace.appends("n1", 1, 1)
    trace.replicates("n1", "n2", 1, 1)
    trace.commits("n1", 1, 1)
    trace.wins("n3", 2, "n1")
    assert len(story(trace, "leader_completeness").lines) == 12


def test_events_beyond_the_limit_of_a_story_are_counted() -> None:
    trace = begun()
    for term in range(2, 60):
        trace.role("n2", "candidate", term)
        trace.votes("n2", "n2", term)
    items = [item for item in trace.items if isinstance(item, VoteGranted)]
    shown = tell(trace.items, Violation("one_vote_per_term", "m", "r", tuple(items)))
    assert len(shown.lines) == MOST_LINES
    assert shown.cut >= len(items) - MOST_LINES
    assert f"; {shown.cut} of these would matter too." in " ".join(text(shown)[-2:])


def test_a_short_past_is_shown_completely_and_a_longer_one_is_not() -> None:
    for rounds, shown in (((FEW_LINES - 4) // 2, FEW_LINES), (FEW_LINES // 2, 2)):
        trace = Trace("n1", "n2")
        trace.starts("n1", "n2")
        trace.heartbeats("n1", "n2", rounds)
        trace.votes("n2", "n2", 1)
        trace.votes("n2", "n1", 1)
        assert len(story(trace, "one_vote_per_term").lines) == shown


# ---- its text --------------------------------------------------------------------------------------------------------

HOSTILE = ["a\nb", "\x1b[2J", "\u202eabc", "x" * 500, "a b " * 200, "", "日本語" * 60]


@pytest.mark.parametrize("width", [1, 40, 60, 100])
@pytest.mark.parametrize("hostile", HOSTILE)
def test_no_text_breaks_a_row(hostile: str, width: int) -> None:
    trace = Trace("n1", "n2")
    trace.starts("n1", "n2", digest=hostile, last_index=1, voted_for=hostile)
    trace.message("n1", "n2", hostile)
    trace.fault(hostile, hostile, "n2")
    trace.op("ok", "c0", 1, "get", value=[hostile] * 9, error=hostile)
    witness = tuple(trace.items[-2:])
    rows = text(tell(trace.items, Violation(hostile, hostile, hostile, witness)), width)
    assert all(row.isprintable() for row in rows)
    assert max(map(len, rows)) <= max(width, 40)


def test_the_document_has_every_line_and_its_event() -> None:
    trace = begun()
    trace.dies("n2", term=1)
    shown = story(trace, "one_vote_per_term")
    read = msgspec.json.decode(msgspec.json.encode(document(shown)))
    assert [line["line"] for line in read["lines"]] == list(range(1, len(shown.lines) + 1))
    assert [line["witness"] for line in read["lines"]] == [line.witness for line in shown.lines]
    assert read["lines"][1]["from_line"] == 1
    assert read["lines"][-1]["event"]["kind"] == "started"
    assert read["lines"][-1]["text"] == "n2#2         started in term 1, no vote, log empty"
    assert (read["invariant"], read["events_before"]) == ("one_vote_per_term", shown.events_before)


def test_a_fault_that_was_recorded_after_its_kill_is_shown_before_it() -> None:
    trace = begun(1)
    kill = trace.add(HARNESS, NodeKilled, subject="n2", subject_inc=1)
    fault = trace.fault("f1", "kill", "n2")
    trace.inc["n2"] += 1
    trace.starts("n2", term=1)
    events = [line.event for line in story(trace, "one_vote_per_term").lines]
    assert events.index(fault) == events.index(kill) - 1


def test_the_past_ends_at_the_witness() -> None:
    trace = begun(1)
    end = len(trace.items) - 1
    past, where = happens_before(trace.items, [end])
    assert where[end] == len(past.items) - 1
    assert past.nodes == ["n1", "n2", "n3"]
    assert past.majority == 2
