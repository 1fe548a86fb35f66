"""efficiency: nobody is convicted for what a cluster may need, and a storm is, by what its sender reports alone."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from msgspec.structs import replace

from event_scripts import follows, leads, started
from raft_chaos.invariants.checkers.efficiency import MOST_TIMES, PER_CLIENT, SILENT_TIMEOUTS
from raft_chaos.invariants.checkers.snapshot_parts import FOR_A_WINDOW, MOST
from raft_chaos.invariants.events import (
    HARNESS,
    ConfigurationUsed,
    EntryAppended,
    Event,
    FaultInjected,
    LogTruncated,
    Members,
    MessageReceived,
    MessageSent,
    PhaseStarted,
)
from raft_chaos.invariants.judge import Judge
from raft_chaos.invariants.pace import Pace
from raft_chaos.invariants.verdict import Verdict

WINDOW_US = 20_000
PACE = Pace(heartbeat_us=WINDOW_US, entries_per_message=10, clients=2, entry_bytes=7)
NO_LOG = MOST_TIMES + 2 * PER_CLIENT
"""The most in a window for a node without entries."""


def sends(number: int, *, from_us: int = 0, to: str = "n2", kind: str = "AppendEntries", inc: int = 1) -> list[Event]:
    return [
        MessageSent(node="n1", inc=inc, t_us=from_us + place * 9_999 // number, to=to, number=place + 1, type=kind)
        for place in range(number)
    ]


def appends(number: int, inc: int = 1, size: int = 0) -> list[Event]:
    return [
        EntryAppended(node="n1", inc=inc, t_us=0, index=index, term=1, digest=str(index), size=size)
        for index in range(1, number + 1)
    ]


def brings(size: int, *, at_us: int = 0, to: str = "n2", prev: int = 0) -> Event:
    """An AppendEntries with that many bytes of commands, after entry `prev`."""
    return MessageSent(
        node="n1", inc=1, t_us=at_us, to=to, number=1, type="AppendEntries", prev_log_index=prev, size=size
    )


def acknowledges(match_index: int, *, term: int = 1, sender: str = "n2") -> Event:
    return MessageReceived(
        node="n1",
        inc=1,
        t_us=0,
        sender=sender,
        sender_inc=1,
        number=1,
        type="AppendEntriesReply",
        term=term,
        match_index=match_index,
    )


def verdict(events: Iterable[Event], pace: Pace | None = PACE) -> Verdict:
    judge = Judge(pace=pace)
    for event in events:
        judge.observe(event)
    return next(one for one in judge.verdicts() if one.invariant == "efficiency")


@pytest.mark.parametrize("kind", ["AppendEntries", "RequestVote"])
def test_one_message_more_than_is_plausible_is_a_violation(kind: str) -> None:
    assert verdict([started("n1"), *sends(NO_LOG, kind=kind)]).outcome == "valid"
    found = verdict([started("n1"), *sends(NO_LOG + 1, kind=kind)])
    assert found.outcome == "violated"
    (violation,) = found.violations
    assert violation.message == (
        f"n1 (incarnation 1) sent 251 {kind} to n2 within 9959 µs, from 0 µs on; "
        "its whole log fits into 0, and at most 250 are plausible"
    )
    assert [event.number for event in violation.witness] == [1, NO_LOG + 1]


def test_a_long_log_may_be_sent_again_and_again() -> None:
    """81 entries are 9 messages, and a heartbeat is one."""
    most = MOST_TIMES * (1 + 9) + 2 * PER_CLIENT
    assert verdict([started("n1"), *appends(81), *sends(most)]).outcome == "valid"
    assert verdict([started("n1"), *appends(81), *sends(most + 1)]).outcome == "violated"


def test_one_byte_more_than_is_plausible_is_a_violation_however_long_it_takes() -> None:
    """A log of 30 bytes, and 2 clients with commands of 7."""
    most = MOST_TIMES * 30 + 2 * PER_CLIENT * 7
    begin = [started("n1"), leads("n1", 1), *appends(10, size=3)]
    slowly = [brings(30, at_us=number * WINDOW_US) for number in range(most // 30)]
    rest = most - 30 * len(slowly)
    assert verdict([*begin, *slowly, brings(rest, at_us=WINDOW_US * 999)]).outcome == "valid"
    found = verdict([*begin, *slowly, brings(rest + 1, at_us=WINDOW_US * 999)])
    assert found.outcome == "violated"
    assert found.violations[0].message == (
        f"n1 (incarnation 1) has sent n2 {most + 1} bytes of commands since it leads; "
        f"its whole log has 30, and at most {most} are plausible"
    )


def test_the_bytes_of_each_peer_and_each_leadership_count_alone() -> None:
    most = MOST_TIMES * 30 + 2 * PER_CLIENT * 7
    much = [brings(most), brings(most, to="n3")]
    assert (
        verdict([started("n1"), *appends(10, size=3), leads("n1", 1), *much, leads("n1", 2), *much]).outcome == "valid"
    )


def test_an_append_of_what_was_acknowledged_is_a_violation() -> None:
    taken = [started("n1"), leads("n1", 1), acknowledges(5), brings(0, prev=5), acknowledges(6)]
    assert verdict([*taken, brings(0, prev=5), acknowledges(6), brings(0, prev=6)]).outcome == "valid"
    found = verdict([*taken, brings(0, prev=4)])
    assert found.outcome == "violated"
    (violation,) = found.violations
    assert violation.message == (
        "n1 (incarnation 1) sent n2 what follows entry 4, although n2 had acknowledged all up to 5 in this term (1)"
    )
    assert [type(event) for event in violation.witness] == [MessageReceived, MessageSent]


def test_an_acknowledgement_counts_once_the_turn_in_which_it_arrived_is_over() -> None:
    """A live node takes several inputs in a turn; what the first one makes it send is reported behind the second."""
    one_turn = [acknowledges(5), brings(0, prev=2), brings(0, prev=5)]
    assert verdict([started("n1"), leads("n1", 1), *one_turn]).outcome == "valid"
    assert verdict([started("n1"), leads("n1", 1), *one_turn, acknowledges(1), brings(0, prev=2)]).outcome == "violated"


@pytest.mark.parametrize(
    "between",
    [
        [leads("n1", 2)],
        [follows("n1", 2)],
        [started("n1", inc=2)],
    ],
)
def test_acknowledgements_of_an_earlier_leadership_count_no_more(between: list[Event]) -> None:
    taken = [started("n1"), leads("n1", 1), acknowledges(5), brings(0, prev=5), acknowledges(6)]
    late = [*between, acknowledges(7), brings(0, prev=1), acknowledges(7), brings(0, prev=1)]
    assert verdict([*taken, *late]).outcome == "valid"


def test_acknowledgements_of_another_peer_do_not_count() -> None:
    taken = [started("n1"), leads("n1", 1), acknowledges(5, sender="n3"), brings(0, prev=2), acknowledges(1)]
    assert verdict([*taken, brings(0, prev=2)]).outcome == "valid"


def test_each_peer_each_window_and_each_incarnation_counts_alone() -> None:
    many = [
        started("n1"),
        *sends(NO_LOG),
        *sends(NO_LOG, to="n3"),
        *sends(NO_LOG, kind="RequestVote"),
        *sends(NO_LOG, from_us=WINDOW_US + 1),
        started("n1", inc=2),
        *sends(NO_LOG, from_us=WINDOW_US + 2, inc=2),
    ]
    assert verdict(many).outcome == "valid"


def test_a_window_is_judged_when_the_next_one_begins() -> None:
    judge = Judge(pace=PACE)
    for event in [started("n1"), *sends(NO_LOG + 1)]:
        judge.observe(event)
    assert not judge.new_violations()
    judge.observe(sends(1, from_us=WINDOW_US)[0])
    assert [violation.invariant for violation in judge.new_violations()] == ["efficiency"]


def test_answers_are_not_limited_since_each_has_a_request() -> None:
    answers = sends(NO_LOG * 2, kind="AppendEntriesReply")
    assert verdict([started("n1"), *sends(1), *answers]).outcome == "valid"


def test_a_node_whose_beginning_is_lost_is_judged_too() -> None:
    assert verdict([*sends(NO_LOG + 1), *sends(1, from_us=WINDOW_US)]).outcome == "violated"


def test_without_a_pace_there_is_no_verdict() -> None:
    assert "efficiency" not in {one.invariant for one in Judge().verdicts()}


# ---- snapshots -------------------------------------------------------------------------------------------------------

LONGEST_US = 300_000
TIMED = Pace(heartbeat_us=WINDOW_US, entries_per_message=10, clients=2, election_timeout_us=(150_000, LONGEST_US))
VIRTUAL = PhaseStarted(node=HARNESS, inc=1, t_us=9_000_000, phase="liveness", within_us=1)
SILENT_US = SILENT_TIMEOUTS * LONGEST_US


def snapshot(last_index: int, at_us: int = 0) -> Event:
    return MessageSent(
        node="n1", inc=1, t_us=at_us, to="n2", number=1, type="InstallSnapshot", prev_log_index=last_index, size=9
    )


def acknowledged(index: int, at_us: int = 0, kind: str = "AppendEntriesReply") -> Event:
    return MessageReceived(
        node="n1", inc=1, t_us=at_us, sender="n2", sender_inc=1, number=1, type=kind, term=1, match_index=index
    )


BEGUN = [started("n1"), leads("n1", 1), *appends(8), snapshot(5)]
GOT = acknowledged(5, 20, "InstallSnapshotReply")


def test_who_has_got_a_snapshot_gets_the_entries_behind_it_and_not_another_snapshot() -> None:
    assert verdict([*BEGUN, snapshot(5, 10), GOT, VIRTUAL], TIMED).outcome == "valid"
    found = verdict([*BEGUN, GOT, snapshot(8, 30), VIRTUAL], TIMED)
    assert [violation.message for violation in found.violations] == [
        "n1 (incarnation 1) sent n2 a snapshot up to entry 8, although n2 had got one up to 5 in this term (1), and "
        "was owed the entries behind it, up to 8"
    ]


@pytest.mark.parametrize(
    "between",
    [
        [acknowledged(8, 30)],  # it has all that there was: what came later may be gone
        [acknowledged(6, 30 + SILENT_US)],  # it was silent
        [leads("n1", 2)],
        [
            ConfigurationUsed(node="n1", inc=1, t_us=30, index=9, members=Members(voters=("n1",))),
            ConfigurationUsed(node="n1", inc=1, t_us=30, index=10, members=Members(voters=("n1", "n2"))),
        ],
    ],
    ids=["level", "silent", "another leadership", "other members"],
)
def test_another_snapshot_is_right_where_nothing_is_owed(between: list[Event]) -> None:
    assert verdict([*BEGUN, GOT, *between, snapshot(9, 40 + SILENT_US), VIRTUAL], TIMED).outcome == "valid"


def test_a_follower_is_as_silent_as_before_where_others_join() -> None:
    """The leader took it for dead, and compacted its log while parts of the first snapshot were under way."""
    begun = [started("n1"), leads("n1", 1), *appends(8), snapshot(5, SILENT_US)]
    joins = ConfigurationUsed(node="n1", inc=1, t_us=SILENT_US + 1, index=9, members=Members(voters=("n1", "n2", "n3")))
    parts = [snapshot(5, SILENT_US + 2), acknowledged(5, SILENT_US + 3, "InstallSnapshotReply")]
    assert verdict([*begun, joins, *parts, snapshot(8, SILENT_US + 4), VIRTUAL], TIMED).outcome == "valid"


def test_who_joins_frees_nobody_of_what_is_owed_to_others() -> None:
    joins = ConfigurationUsed(node="n1", inc=1, t_us=25, index=9, members=Members(voters=("n1", "n2", "n3")))
    assert verdict([*BEGUN, GOT, joins, snapshot(8, 30), VIRTUAL], TIMED).outcome == "violated"


def test_nothing_is_owed_to_a_follower_that_had_all_of_the_snapshot_already() -> None:
    assert verdict([*BEGUN, acknowledged(5, 10), GOT, snapshot(8, 30), VIRTUAL], TIMED).outcome == "valid"


def test_a_newer_snapshot_may_take_the_place_of_one_that_has_not_arrived() -> None:
    assert verdict([*BEGUN, snapshot(8, 10), GOT, VIRTUAL], TIMED).outcome == "valid"


def test_a_leader_whose_clock_was_wrong_may_have_taken_it_for_silent() -> None:
    clock = FaultInjected(node=HARNESS, inc=1, t_us=0, fault="f1", type="clock", targets=("n1",), detail="")
    assert verdict([*BEGUN, GOT, snapshot(8, 30), clock, VIRTUAL], TIMED).outcome == "valid"


def test_what_a_log_had_before_it_was_cut_off_is_not_owed() -> None:
    before = [replace(event, term=0) for event in appends(12) if isinstance(event, EntryAppended)]
    cut = LogTruncated(node="n1", inc=1, t_us=0, from_index=7)
    led = [leads("n1", 1), *appends(8)[6:], snapshot(5), GOT, acknowledged(8, 30)]
    assert verdict([started("n1"), *before, cut, *led, snapshot(9, 40), VIRTUAL], TIMED).outcome == "valid"


def test_parts_of_snapshots_go_out_as_answers_come_and_heartbeats_are_due() -> None:
    elected = leads("n1", 1)
    plausible = MOST + FOR_A_WINDOW
    parts = [snapshot(9) for _ in range(plausible + 1)]
    assert verdict([elected, *parts[1:]]).outcome == "valid"
    found = verdict([elected, *parts])
    assert [violation.message for violation in found.violations] == [
        f"n1 (incarnation 1) has sent n2 {plausible + 1} parts of snapshots since it leads; at most {plausible} are "
        "plausible after so many answers and heartbeats"
    ]
    answer = acknowledged(0, kind="InstallSnapshotReply")
    assert verdict([elected, parts[0], answer, *parts[1:]]).outcome == "valid"
    later = snapshot(9, at_us=WINDOW_US)
    assert verdict([elected, *parts[1:], later]).outcome == "valid"
    gone_back = snapshot(9, at_us=-10 * WINDOW_US)
    assert verdict([elected, *parts[1:], later, gone_back]).outcome == "valid"


# ---- bytes on their way ----------------------------------------------------------------------------------------------

LIMITED = replace(PACE, bytes_in_flight=20)
FULL = [leads("n1", 1), *appends(10, size=10), brings(10, prev=0), brings(10, prev=1)]
"""Entries 1 and 2 fill the window."""


def rejects(index: int) -> Event:
    return replace(acknowledges(0), rejected_index=index)


def members() -> Event:
    return ConfigurationUsed(node="n1", inc=1, t_us=0, index=9, members=Members(voters=("n1", "n2")))


def test_no_message_follows_once_the_window_is_full() -> None:
    assert verdict([*FULL, brings(0, prev=2)], LIMITED).outcome == "valid"  # a heartbeat
    assert verdict([*FULL, brings(10, prev=2, to="n3")], LIMITED).outcome == "valid"
    assert verdict([leads("n1", 1), brings(10), brings(900, prev=1)], LIMITED).outcome == "valid"  # one message beyond
    found = verdict([*FULL, brings(10, prev=2)], LIMITED)
    assert found.outcome == "violated"
    (violation,) = found.violations
    assert violation.message == (
        "n1 (incarnation 1) sent n2 what follows entry 2, although 20 bytes of commands were on their way to it "
        "already; at most 20 and one message may be"
    )
    assert violation.witness == (FULL[-2], brings(10, prev=2))


def test_an_answer_opens_the_window_by_what_it_acknowledges() -> None:
    assert verdict([*FULL, acknowledges(1), brings(10, prev=2)], LIMITED).outcome == "valid"
    assert verdict([*FULL, acknowledges(1), brings(10, prev=2), brings(10, prev=3)], LIMITED).outcome == "violated"
    for nothing_new in (acknowledges(0), acknowledges(1, term=0), acknowledges(2, sender="n3")):
        assert verdict([*FULL, nothing_new, brings(10, prev=2)], LIMITED).outcome == "violated"
    twice = [*FULL, acknowledges(1), brings(10, prev=2), acknowledges(1)]
    assert verdict([*twice, brings(10, prev=3)], LIMITED).outcome == "violated"


@pytest.mark.parametrize(
    "between",
    [[rejects(1)], [snapshot(9)], [members()], [leads("n1", 2)], [started("n1", inc=2), leads("n1", 2, inc=2)]],
    ids=["rejected", "snapshot", "members", "leadership", "start"],
)
def test_what_ends_a_flight(between: list[Event]) -> None:
    inc = between[-1].inc
    again = [replace(brings(10, prev=prev), inc=inc) for prev in (2, 3)]
    assert verdict([*FULL, *between, *again], LIMITED).outcome == "valid"
    assert verdict([*FULL, *between, *again, replace(brings(10, prev=4), inc=inc)], LIMITED).outcome == "violated"


def test_a_probe_that_is_sent_again_counts_once() -> None:
    assert verdict([leads("n1", 1), brings(10), brings(0), brings(10), brings(10, prev=1)], LIMITED).outcome == "valid"


def test_what_was_sent_in_the_turn_of_a_rejection_counts_until_it_is_sent_again() -> None:
    """The report says first that the rejection came. The leader had sent what follows 2 before it took it in."""
    turn = [FULL[0], *FULL[11:], rejects(1), brings(10, prev=2), brings(10, prev=0)]
    assert verdict([*turn, brings(10, prev=1)], LIMITED).outcome == "valid"
    assert verdict([*turn, brings(10, prev=1), brings(10, prev=2)], LIMITED).outcome == "violated"


def test_a_message_that_may_be_acknowledged_in_part_does_not_count() -> None:
    assert verdict([leads("n1", 1), brings(20), acknowledges(1), brings(10, prev=3)], LIMITED).outcome == "valid"


def test_no_limit_is_known_of_an_earlier_version() -> None:
    assert verdict([*FULL, brings(10, prev=2)]).outcome == "valid"
