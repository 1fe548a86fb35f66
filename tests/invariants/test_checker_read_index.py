"""read_index: n1 answers c1, who reads x by ReadIndex. Times are in ms."""

from __future__ import annotations

import pytest

from raft_chaos.invariants.events import (
    CommitAdvanced,
    ConfigurationUsed,
    EntryAppended,
    Event,
    LogTruncated,
    Members,
    MessageReceived,
    MessageSent,
    RoleChanged,
    Started,
)
from raft_chaos.invariants.history import Consistency, Op
from raft_chaos.invariants.judge import Judge
from raft_chaos.invariants.pace import Pace
from raft_chaos.invariants.verdict import Verdict

MS = 1_000
PACE = Pace(20 * MS, 10, 1)
START = Started(node="n1", inc=1, t_us=0, term=1, voted_for=None, last_index=0, digest="")


def commits(ms: float, index: int, *, node: str = "n1", inc: int = 1) -> Event:
    return CommitAdvanced(node=node, inc=inc, t_us=round(ms * MS), index=index, term=1)


def asks(ms: float, consistency: Consistency | None = "read_index") -> Op:
    return Op(
        type="invoke", process=1, client="c1", op="c1/0", f="get", key="x", t_us=round(ms * MS), consistency=consistency
    )


def answer(ms: float, index: int, consistency: Consistency | None = "read_index", *, inc: int = 1) -> Op:
    return Op(
        type="ok",
        process=1,
        client="c1",
        op="c1/0",
        f="get",
        key="x",
        t_us=round(ms * MS),
        value="a",
        index=index,
        term=1,
        consistency=consistency,
        node="n1",
        inc=inc,
    )


def verdict(*happened: Event | Op, pace: Pace | None = None, nodes: int = 3) -> Verdict | None:
    judge = Judge(voters=[f"n{number}" for number in range(1, nodes + 1)], pace=pace)
    for one in (START, *happened):
        if isinstance(one, Op):
            judge.observe_op(one)
        else:
            judge.observe(one)
    judge.verdicts()
    return next((one for one in judge.verdicts() if one.invariant == "read_index"), None)


def holds(*indexes: int) -> list[Event]:
    return [EntryAppended(node="n1", inc=1, t_us=0, index=index, term=1, digest=str(index)) for index in indexes]


def leads(ms: float, term: int, *, inc: int = 1) -> Event:
    return RoleChanged(node="n1", inc=inc, t_us=round(ms * MS), role="leader", term=term, leader="n1")


def follows(ms: float, term: int) -> Event:
    return RoleChanged(node="n1", inc=1, t_us=round(ms * MS), role="follower", term=term, leader=None)


def test_a_read_misses_what_its_node_knew_to_be_committed() -> None:
    known = commits(80, 7)
    found = verdict(commits(70, 6), known, commits(99.5, 9), asks(100), answer(120, 6))
    assert found is not None and found.outcome == "violated"
    (violation,) = found.violations
    assert violation.message == (
        "c1/0 read 'a' from 'x' at n1 (incarnation 1), which had applied up to entry 6, although it knew before that "
        "entry 7 is committed"
    )
    assert violation.witness == (known, asks(100), answer(120, 6))


def test_the_report_of_a_commit_may_come_later() -> None:
    found = verdict(asks(100), answer(120, 6), commits(80, 7))
    assert found is not None and found.outcome == "violated"


@pytest.mark.parametrize(
    "happened",
    [
        [commits(80, 7), asks(100), answer(120, 7)],
        [commits(80, 7), asks(100), answer(120, 8)],
        [commits(101, 7), asks(100), answer(120, 6)],  # after the client asked
        [commits(99.5, 7), asks(100), answer(120, 6)],  # too close to tell
        [commits(80, 7, node="n2"), asks(100), answer(120, 6)],  # n1 leads, and may not know it yet
        [commits(80, 7), START, asks(100), answer(120, 6, inc=2)],  # it may recover less
        [asks(100), answer(120, 0)],
    ],
)
def test_what_a_right_read_may_see(happened: list[Event | Op]) -> None:
    found = verdict(*happened)
    assert found is not None and (found.outcome, found.judged) == ("valid", 1)


def test_a_lease_promises_the_same_and_other_reads_do_not() -> None:
    found = verdict(commits(80, 7), asks(100, "lease"), answer(120, 6, "lease"))
    assert found is not None and found.outcome == "violated"
    for other in ("stale", None):
        assert verdict(commits(80, 7), asks(100, other), answer(120, 6, other)) is None  # type: ignore[arg-type]


def test_a_read_that_was_not_answered_says_nothing() -> None:
    failed = Op(type="fail", process=1, client="c1", op="c1/0", f="get", key="x", t_us=120_000, consistency="lease")
    assert verdict(commits(80, 7), asks(100, "lease"), failed) is None


# ---- a majority confirms that the leader still leads ---------------------------------------------------------------


def request(ms: float, to: str, number: int) -> Event:
    """n1 sends a heartbeat."""
    return MessageSent(node="n1", inc=1, t_us=round(ms * MS), to=to, number=number, type="AppendEntries")


def arrives(ms: float, at: str, number: int, *, sender_inc: int = 1) -> Event:
    return MessageReceived(
        node=at, inc=1, t_us=round(ms * MS), sender="n1", sender_inc=sender_inc, number=number, type="AppendEntries"
    )


def answers(ms: float, node: str, number: int) -> Event:
    return MessageSent(node=node, inc=1, t_us=round(ms * MS), to="n1", number=number, type="AppendEntriesReply")


def is_answered(ms: float, by: str, number: int) -> Event:
    return MessageReceived(
        node="n1", inc=1, t_us=round(ms * MS), sender=by, sender_inc=1, number=number, type="AppendEntriesReply"
    )


def uses(ms: float, *voters: str, old: tuple[str, ...] = ()) -> Event:
    members = Members(voters=voters, old_voters=old)
    return ConfigurationUsed(node="n1", inc=1, t_us=round(ms * MS), index=1, members=members)


def round_trip(peer: str, sent: float, answered: float, *, number: int = 1) -> list[Event]:
    """A heartbeat of n1, and its answer, which arrives at a time."""
    return [
        request(sent, peer, number),
        arrives(sent + 1, peer, number),
        answers(sent + 1, peer, number),
        is_answered(answered, peer, number),
    ]


def test_a_majority_confirms_a_read() -> None:
    found = verdict(asks(100), *round_trip("n2", 101, 110), answer(120, 7), pace=PACE)
    assert found is not None and (found.outcome, found.judged) == ("valid", 1)


def test_the_reports_may_come_in_any_order() -> None:
    left, arrived, replied, received = round_trip("n2", 101, 110)
    found = verdict(left, received, asks(100), answer(120, 7), arrived, replied, pace=PACE)
    assert found is not None and found.outcome == "valid"


@pytest.mark.parametrize(
    "happened",
    [
        [*round_trip("n2", 90, 110)],  # the request left before the client asked
        [*round_trip("n2", 101, 130)],  # the answer came after the read was answered
        [*round_trip("n2", 90, 105)[:3], request(101, "n2", 2), is_answered(105, "n2", 1)],  # an earlier answer
        [request(101, "n2", 1)],
        [request(101, "n2", 1), arrives(102, "n2", 1, sender_inc=2), answers(103, "n2", 1), is_answered(105, "n2", 2)],
    ],
)
def test_a_read_that_no_majority_confirmed(happened: list[Event]) -> None:
    found = verdict(asks(100), *happened, answer(120, 7), pace=PACE)
    assert found is not None and found.outcome == "violated"
    (violation,) = found.violations
    assert violation.message == (
        "c1/0 read 'a' from 'x' at n1 (incarnation 1), for which since the client asked only n1 (1 of 3; a majority is "
        "2) had confirmed that it still leads"
    )
    assert violation.witness == (asks(100), answer(120, 7))


def test_one_of_five_is_no_majority() -> None:
    assert (found := verdict(asks(100), *round_trip("n2", 101, 110), answer(120, 7), pace=PACE, nodes=5)) is not None
    assert found.outcome == "violated"
    both = [*round_trip("n2", 101, 110), *round_trip("n3", 101, 110, number=2)]
    assert (found := verdict(asks(100), *both, answer(120, 7), pace=PACE, nodes=5)) is not None
    assert found.outcome == "valid"


def test_an_answer_may_stand_for_an_earlier_one() -> None:
    """n2 had received the second request when it answered the first one."""
    late = [request(90, "n2", 1), request(101, "n2", 2), arrives(102, "n2", 2), arrives(103, "n2", 1)]
    found = verdict(asks(100), *late, answers(103, "n2", 1), is_answered(105, "n2", 1), answer(120, 7), pace=PACE)
    assert found is not None and found.outcome == "valid"


@pytest.mark.parametrize(
    ("used", "outcome"),
    [
        ([uses(50, "n1", "n3")], "violated"),  # n2 has no vote
        ([uses(50, "n1", "n3"), uses(110, "n1", "n2")], "valid"),
        ([uses(110, "n1", "n3")], "valid"),  # until then n2 had one
        ([uses(50, "n1", "n3", old=("n1", "n2", "n3"))], "violated"),
        ([uses(50, "n1")], "valid"),
        ([uses(50, "n2", "n3")], "violated"),  # n1 does not count itself
    ],
)
def test_the_voters_are_those_that_the_node_used_meanwhile(used: list[Event], outcome: str) -> None:
    found = verdict(*used, asks(100), *round_trip("n2", 101, 110), answer(120, 7), pace=PACE)
    assert found is not None and found.outcome == outcome


def test_what_needs_no_round() -> None:
    """A lease; a system whose messages mean something else; one that reports none; a cluster of one."""
    sent = request(90, "n2", 1)
    for found in (
        verdict(sent, asks(100, "lease"), answer(120, 7, "lease"), pace=PACE),
        verdict(sent, asks(100), answer(120, 7)),
        verdict(asks(100), answer(120, 7), pace=PACE),
        verdict(sent, asks(100), answer(120, 7), pace=PACE, nodes=1),
    ):
        assert found is not None and found.outcome == "valid"


# ---- an entry of the leader's own term is committed first ------------------------------------------------------------


@pytest.mark.parametrize("consistency", ["read_index", "lease"])
def test_an_answer_before_the_first_entry_of_the_leadership_is_too_early(consistency: Consistency) -> None:
    found = verdict(*holds(1, 2), leads(5, 2), asks(10, consistency), answer(11, 2, consistency), pace=PACE)
    assert found is not None
    assert [violation.message for violation in found.violations] == [
        "c1/0 read 'a' from 'x' at n1 (incarnation 1), which had applied up to entry 2, although its leadership of "
        "term 2 began with entry 3: it did not know yet what is committed"
    ]


@pytest.mark.parametrize(
    "happened",
    [
        [leads(5, 2), asks(10), answer(11, 3)],  # it has applied its first entry
        [asks(10), answer(11, 2)],  # it says nothing of a leadership
        [leads(5, 2, inc=2), asks(10), answer(11, 2)],  # another incarnation led
        [leads(5, 2), follows(6, 3), asks(10), answer(11, 2)],  # it led before, and does not say that it does now
        [leads(15, 2), asks(10), answer(11, 2)],  # it led later
    ],
)
def test_an_answer_is_right_behind_the_first_entry_or_where_no_leadership_is_known(happened: list[Event | Op]) -> None:
    found = verdict(*holds(1, 2), *happened, pace=PACE)
    assert found is not None and found.outcome == "valid"


def test_of_several_leaderships_any_may_have_answered() -> None:
    cut = LogTruncated(node="n1", inc=1, t_us=7 * MS, from_index=2)
    led_twice = [*holds(1, 2), leads(5, 2), asks(6), follows(7, 3), cut, leads(8, 4), answer(9, 2)]
    found = verdict(*led_twice, pace=PACE)
    assert found is not None and found.outcome == "valid"
    found = verdict(*led_twice[:-1], answer(9, 1), pace=PACE)
    assert found is not None and found.outcome == "violated"


def test_another_system_may_know_its_commits_in_other_ways() -> None:
    found = verdict(*holds(1, 2), leads(5, 2), asks(10), answer(11, 2), pace=None)
    assert found is not None and found.outcome == "valid"
