"""leader_votes_quorum and quorum_log: who leads and who commits can know of a majority that lets it.

Each script is given node by node, and judged in every order in which the nodes' files may be read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import permutations
from random import Random

import pytest

from event_scripts import (
    appends,
    commits,
    follows,
    judged,
    leads,
    receives,
    sends,
    started,
    truncates,
    votes,
)
from raft_chaos.invariants.events import ConfigurationUsed, Event, Members
from raft_chaos.invariants.judge import Judge
from raft_chaos.invariants.verdict import Outcome, Verdict

N1, N2, N3 = started("n1"), started("n2"), started("n3")
Stream = list[Event]


def orders(streams: Sequence[Stream]) -> Iterator[Stream]:
    """Whole files, one after the other in each order; and some ways in which their lines may be read in turns."""
    for order in permutations(streams):
        yield [event for stream in order for event in stream]
    for seed in range(10):
        turns = [number for number, stream in enumerate(streams) for _ in stream]
        Random(seed).shuffle(turns)
        rest = [iter(stream) for stream in streams]
        yield [next(rest[number]) for number in turns]


def verdict(invariant: str, *streams: Stream) -> Verdict:
    """The same in all orders of arrival."""
    found = [judged(order)[invariant] for order in orders(streams)]
    assert all(one == found[0] for one in found)
    return found[0]


def outcome(invariant: str, *streams: Stream) -> Outcome:
    return verdict(invariant, *streams).outcome


# ---- quorum_log ------------------------------------------------------------------------------------------------------


def leader(*after: Event) -> Stream:
    """n1 has entry 1 durable, and sends it to n2 and n3."""
    return [N1, *appends("n1", "1a"), sends("n1", "n2", 1), sends("n1", "n3", 2), *after]


def follower(*after: Event, node: str = "n2", number: int = 1) -> Stream:
    """It has entry 1 durable, and then acknowledges it to n1."""
    acks = [*appends(node, "1a"), sends(node, "n1")]
    return [started(node), receives(node, "n1", number), *acks, *after]


def test_a_commit_that_an_acknowledgement_allows() -> None:
    committed = leader(receives("n1", "n2"), commits("n1", 1, 1))
    assert outcome("quorum_log", committed, follower(), [N3]) == "valid"


def test_a_commit_before_the_acknowledgement_arrives() -> None:
    """n2 has the entry by then, but n1 cannot know that."""
    too_early = leader(commits("n1", 1, 1), receives("n1", "n2"))
    found = verdict("quorum_log", too_early, follower(), [N3])
    assert found.outcome == "violated"
    assert found.violations[0].witness == (*appends("n1", "1a"), commits("n1", 1, 1))
    assert found.violations[0].message == (
        "n1 (incarnation 1) committed entry 1, which is durable on n1 (1 of 3; a majority is 2), as far as it can know"
    )


def test_an_acknowledgement_before_the_entry_is_durable() -> None:
    too_early: Stream = [N2, receives("n2", "n1"), sends("n2", "n1"), *appends("n2", "1a")]
    assert outcome("quorum_log", leader(receives("n1", "n2"), commits("n1", 1, 1)), too_early, [N3]) == "violated"


def counts_itself(*, durable: bool) -> list[Stream]:
    """n2 alone has acknowledged; n1 tells it that the entry is committed, and reports its own commit later."""
    own = appends("n1", "1a")
    says: Stream = [receives("n1", "n2"), sends("n1", "n2", 3)]
    n1 = [N1, sends("n1", "n2", 1), *(own + says if durable else says + own), commits("n1", 1, 1)]
    return [n1, follower(receives("n2", "n1", 3), commits("n2", 1, 1)), [N3]]


def test_a_leader_that_counts_itself_before_its_own_copy_is_durable_is_found_by_its_follower() -> None:
    assert outcome("quorum_log", *counts_itself(durable=True)) == "valid"
    found = verdict("quorum_log", *counts_itself(durable=False))
    assert [violation.witness[-1] for violation in found.violations] == [commits("n2", 1, 1)]


def test_knowledge_passes_through_other_nodes() -> None:
    """n3 hears of n2's copy from n1 alone."""
    n1 = leader(receives("n1", "n2"), sends("n1", "n3", 3), commits("n1", 1, 1))
    n3: Stream = [N3, receives("n3", "n1", 3), *appends("n3", "1a"), commits("n3", 1, 1)]
    assert outcome("quorum_log", n1, follower(), n3) == "valid"
    lacks_it = [*n3[:1], *n3[2:]]
    assert outcome("quorum_log", n1, follower(), lacks_it) == "violated"


def test_a_late_copy_of_an_early_message_tells_nothing_new() -> None:
    """n2's first message arrives once more, after n2 has the entry; its second one, which tells that, is lost."""
    n2: Stream = [N2, sends("n2", "n1", 1), receives("n2", "n1"), *appends("n2", "1a"), sends("n2", "n1", 2)]
    again = [receives("n1", "n2", 1), receives("n1", "n2", 1)]
    assert outcome("quorum_log", leader(*again, commits("n1", 1, 1)), n2, [N3]) == "violated"
    assert outcome("quorum_log", leader(*again, receives("n1", "n2", 2), commits("n1", 1, 1)), n2, [N3]) == "valid"


def test_another_log_below_the_entry_does_not_count() -> None:
    n1: Stream = [N1, *appends("n1", "1a 2c"), receives("n1", "n2"), commits("n1", 2, 2)]
    assert outcome("quorum_log", n1, [N2, *appends("n2", "1b 2c"), sends("n2", "n1")], [N3]) == "violated"
    assert outcome("quorum_log", n1, [N2, *appends("n2", "1a 2c"), sends("n2", "n1")], [N3]) == "valid"


def test_what_a_node_deleted_before_it_said_so_does_not_count() -> None:
    n1 = leader(receives("n1", "n2"), commits("n1", 1, 1))
    deletes: Stream = [N2, *appends("n2", "1a"), truncates("n2", 1), sends("n2", "n1")]
    assert outcome("quorum_log", n1, deletes, [N3]) == "violated"
    has_it_again = [*deletes[:-1], *appends("n2", "1a"), sends("n2", "n1")]
    assert outcome("quorum_log", n1, has_it_again, [N3]) == "valid"
    acknowledged_before_sync = [*deletes, *appends("n2", "1a")]
    assert outcome("quorum_log", n1, acknowledged_before_sync, [N3]) == "violated"


def test_what_a_node_deletes_after_it_said_that_it_holds_it_counts() -> None:
    n1 = leader(receives("n1", "n2"), commits("n1", 1, 1))
    assert outcome("quorum_log", n1, follower(truncates("n2", 1)), [N3]) == "valid"
    assert outcome("quorum_log", n1, follower(truncates("n2", 1), *appends("n2", "2b")), [N3]) == "valid"


def test_what_a_crash_loses_was_durable_once() -> None:
    """`durability` convicts n2; n1 has done nothing wrong, whether it hears of n2 again or not."""
    lost: Stream = [*follower(), started("n2", inc=2, term=1), sends("n2", "n1", 1, inc=2)]
    hears_again = leader(receives("n1", "n2", sender_inc=2), commits("n1", 1, 1))
    for n1 in (leader(receives("n1", "n2"), commits("n1", 1, 1)), hears_again):
        assert outcome("quorum_log", n1, lost, [N3]) == "valid"
        assert outcome("durability", n1, lost, [N3]) == "violated"


def test_a_disk_ahead_of_the_events_counts_from_the_restart_on() -> None:
    """n2 was killed before it could report the entry, let alone acknowledge it."""
    n2: Stream = [N2, receives("n2", "n1"), started("n2", inc=2, term=1, log="1a"), *appends("n2", "1a", inc=2)]
    n2.append(sends("n2", "n1", 1, inc=2))
    assert outcome("quorum_log", leader(receives("n1", "n2", sender_inc=2), commits("n1", 1, 1)), n2, [N3]) == "valid"


def test_a_restart_may_leave_a_commit_as_it_was() -> None:
    """A system may keep its commit index on disk: what it knew before the restart, it still knows."""
    n1 = leader(receives("n1", "n2"), commits("n1", 1, 1), started("n1", inc=2, term=1, log="1a"))
    again = [*appends("n1", "1a", inc=2), commits("n1", 1, 1, inc=2)]
    assert outcome("quorum_log", [*n1, *again], follower(), [N3]) == "valid"


def test_a_commit_beyond_the_log_is_judged_elsewhere() -> None:
    n1 = leader(receives("n1", "n2"), commits("n1", 2, 1))
    assert outcome("quorum_log", n1, follower(), [N3]) == "unknown"
    assert outcome("monotonicity", n1, follower(), [N3]) == "violated"


# ---- leader_votes_quorum ---------------------------------------------------------------------------------------------


def candidate(*after: Event) -> Stream:
    return [N1, votes("n1", 1, "n1"), sends("n1", "n2", 1), sends("n1", "n3", 2), *after]


def voter(term: int = 1, of: str = "n1") -> Stream:
    return [N2, receives("n2", "n1"), votes("n2", term, of), sends("n2", "n1")]


def test_a_leader_with_a_majority_of_votes() -> None:
    elected = candidate(receives("n1", "n2"), leads("n1", 1))
    assert outcome("leader_votes_quorum", elected, voter(), [N3]) == "valid"


@pytest.mark.parametrize(
    ("elected", "n2"),
    [
        (candidate(leads("n1", 1), receives("n1", "n2")), voter()),
        (candidate(receives("n1", "n2"), leads("n1", 1)), [N2, receives("n2", "n1"), sends("n2", "n1")]),
        (candidate(receives("n1", "n2"), leads("n1", 1)), voter(of="n3")),
        (candidate(receives("n1", "n2"), leads("n1", 2)), voter()),
        (candidate(receives("n1", "n2"), leads("n1", 1)), [*voter()[:2], sends("n2", "n1"), votes("n2", 1, "n1")]),
        ([N1, sends("n1", "n2"), receives("n1", "n2"), receives("n1", "n2"), leads("n1", 1)], voter()),
    ],
    ids=["it has not heard", "no vote", "for another", "for another term", "sent before durable", "counted twice"],
)
def test_a_leader_without_a_majority_of_votes(elected: Stream, n2: Stream) -> None:
    found = verdict("leader_votes_quorum", elected, n2, [N3])
    assert found.outcome == "violated"
    assert found.violations[0].witness[-1] in elected
    assert "(1 of 3; a majority is 2)" in found.violations[0].message or "no node" in found.violations[0].message


def test_a_vote_that_only_a_restart_reports_counts() -> None:
    """The disk was ahead of the events; asked again in the same term, the node grants what it has granted."""
    n2: Stream = [N2, receives("n2", "n1"), started("n2", 2, 1, "n1"), sends("n2", "n1", 1, inc=2)]
    assert outcome("leader_votes_quorum", candidate(receives("n1", "n2", sender_inc=2), leads("n1", 1)), n2) == "valid"


def test_a_follower_needs_no_votes() -> None:
    assert outcome("leader_votes_quorum", [N1, sends("n1", "n2"), follows("n1", 1)], [N2], [N3]) == "unknown"


# ---- what nobody can know --------------------------------------------------------------------------------------------


def test_nodes_that_report_no_messages_are_not_judged() -> None:
    n1: Stream = [N1, votes("n1", 1, "n1"), leads("n1", 1), *appends("n1", "1a"), commits("n1", 1, 1)]
    for invariant in ("leader_votes_quorum", "quorum_log"):
        found = verdict(invariant, n1, [N2], [N3])
        assert (found.outcome, found.judged) == ("unknown", 0)
        assert "no node reported its messages" in found.reason


def test_a_lost_file_is_never_held_against_anybody() -> None:
    """All that n1 and n3 do after they hear of n2 waits for a report that will not come."""
    n1 = leader(receives("n1", "n2"), commits("n1", 1, 1), sends("n1", "n3", 3))
    n3: Stream = [N3, receives("n3", "n1", 3), *appends("n3", "1a"), commits("n3", 1, 1)]
    found = verdict("quorum_log", n1, n3)
    assert found.outcome == "unknown"
    assert found.reason.endswith("(incarnation 1), which did not report that it sent it")


def test_without_voters_nothing_is_judged() -> None:
    judge = Judge()
    for event in (*leader(commits("n1", 1, 1)), N2, N3):
        judge.observe(event)
    found = next(one for one in judge.verdicts() if one.invariant == "quorum_log")
    assert (found.outcome, found.reason) == ("unknown", "nobody said which nodes vote")


def test_a_node_that_does_not_vote_does_not_count_and_is_not_waited_for() -> None:
    learner: Stream = [started("n9"), *appends("n9", "1a"), sends("n9", "n1")]
    assert outcome("quorum_log", leader(receives("n1", "n9"), commits("n1", 1, 1)), learner, [N2], [N3]) == "violated"


# ---- other members (§6) ----------------------------------------------------------------------------------------------


def uses(members: Members, node: str = "n1", t_us: int = 0) -> ConfigurationUsed:
    return ConfigurationUsed(node=node, inc=1, t_us=t_us, index=1, members=members)


def held_by(*others: str, members: Members) -> list[Stream]:
    """n1 leads, by these members, and commits an entry that it and these others have acknowledged."""
    n1 = leader(
        leads("n1", 1), uses(members), *(receives("n1", other) for other in others), commits("n1", 1, 1, t_us=1)
    )
    rest = {"n2": [N2], "n3": [N3]} | {other: follower(node=other, number=int(other[1]) - 1) for other in others}
    return [n1, rest["n2"], rest["n3"]]


WITHOUT_N1 = Members(voters=("n2", "n3"))
JOINT = Members(voters=("n1", "n3"), old_voters=("n1", "n2"))
LEARNER = Members(voters=("n1", "n2"), learners=("n3",))


@pytest.mark.parametrize(
    ("members", "others", "judged_as"),
    [
        (WITHOUT_N1, ("n2",), "violated"),
        (WITHOUT_N1, ("n2", "n3"), "valid"),
        (JOINT, ("n2",), "violated"),
        (JOINT, ("n3",), "violated"),
        (JOINT, ("n2", "n3"), "valid"),
        (LEARNER, ("n3",), "violated"),
        (LEARNER, ("n2",), "valid"),
        (Members(voters=("n1",)), (), "valid"),
    ],
)
def test_a_leader_commits_by_the_members_that_it_uses(
    members: Members, others: tuple[str, ...], judged_as: Outcome
) -> None:
    assert outcome("quorum_log", *held_by(*others, members=members)) == judged_as


def test_joint_voters_are_told_apart_in_the_message() -> None:
    found = verdict("quorum_log", *held_by("n2", members=JOINT))
    assert found.violations[0].message == (
        "n1 (incarnation 1) committed entry 1, which is durable on n1 and n2 (2 of 2; a majority is 2 old voters; 1 of "
        "2; a majority is 2 new voters), as far as it can know"
    )


def test_a_commit_that_waited_for_the_disk_is_judged_by_the_members_of_its_time() -> None:
    """It is reported after the leader has begun to use the next ones."""
    before, next_us = Members(voters=("n1", "n2")), 20
    for commit_us, judged_as in ((10, "valid"), (next_us, "valid"), (next_us + 1, "violated")):
        n1 = leader(leads("n1", 1), uses(before), receives("n1", "n2"), uses(WITHOUT_N1, t_us=next_us))
        n1.append(commits("n1", 1, 1, t_us=commit_us))
        assert outcome("quorum_log", n1, follower(), [N3]) == judged_as


def test_a_follower_commits_by_members_of_which_it_can_know() -> None:
    """n1 alone decides, and n2 may know that once it has heard so."""
    alone = uses(Members(voters=("n1",)))
    n2: Stream = [N2, receives("n2", "n1", 3), *appends("n2", "1a"), commits("n2", 1, 1)]
    n3 = [N3]
    told = [N1, leads("n1", 1), *appends("n1", "1a"), alone, sends("n1", "n2", 3)]
    # Otherwise its own copy and n1's are two of the first three.
    assert outcome("quorum_log", told, n2, n3) == "valid"
    told_too_late = [*told[:3], told[4], told[3]]
    n2_alone: Stream = [N2, *appends("n2", "1a"), receives("n2", "n1", 3), commits("n2", 1, 1)]
    assert outcome("quorum_log", [*told[:2], alone, told[4]], n2_alone, n3) == "violated", "n1 has not got it"
    assert outcome("quorum_log", told_too_late, n2, n3) == "valid"


@pytest.mark.parametrize(
    ("members", "voters", "judged_as"),
    [
        (JOINT, ("n2",), "violated"),
        (JOINT, ("n3",), "violated"),
        (JOINT, ("n2", "n3"), "valid"),
        (WITHOUT_N1, ("n2",), "violated"),
        (LEARNER, ("n3",), "violated"),
        (LEARNER, ("n2",), "valid"),
    ],
)
def test_a_leader_is_elected_by_the_members_that_it_uses(
    members: Members, voters: tuple[str, ...], judged_as: Outcome
) -> None:
    asks = [sends("n1", "n2", 1), sends("n1", "n3", 2)]
    n1 = [N1, uses(members), votes("n1", 1, "n1"), *asks, *(receives("n1", one) for one in voters), leads("n1", 1)]
    rest: dict[str, Stream] = {"n2": [N2], "n3": [N3]}
    for one in voters:
        rest[one] = [started(one), receives(one, "n1", int(one[1]) - 1), votes(one, 1, "n1"), sends(one, "n1")]
    assert outcome("leader_votes_quorum", n1, rest["n2"], rest["n3"]) == judged_as
