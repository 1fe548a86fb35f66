"""membership_changes: n1 of n1 to n4, what it reports, and the rule that each violation breaks."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from raft_chaos.invariants.events import (
    HARNESS,
    ChangeAnswered,
    CommitAdvanced,
    ConfigurationUsed,
    EntryAppended,
    Event,
    LogTruncated,
    Members,
    PreVoteStarted,
    RoleChanged,
    SnapshotInstalled,
    SnapshotTaken,
    Started,
)
from raft_chaos.invariants.judge import Judge

NODES = ("n1", "n2", "n3", "n4")
ALL, THREE, TWO = Members(voters=NODES), Members(voters=NODES[:3]), Members(voters=NODES[:2])
JOINT = Members(voters=NODES[:2], old_voters=NODES)
OTHERS = Members(voters=NODES[1:])


def at(t_us: int, kind: type[Event], **fields: Any) -> Event:
    return kind(node="n1", inc=1, t_us=t_us, **fields)


def leads(t_us: int = 10, term: int = 1) -> Event:
    return at(t_us, RoleChanged, role="leader", term=term, leader="n1")


def follows(t_us: int, term: int = 1) -> Event:
    return at(t_us, RoleChanged, role="follower", term=term, leader=None)


def uses(t_us: int, index: int, members: Members) -> Event:
    return at(t_us, ConfigurationUsed, index=index, members=members)


def entry(t_us: int, index: int, members: Members | None = None, term: int = 1) -> Event:
    return at(t_us, EntryAppended, index=index, term=term, digest=f"{term}.{index}", members=members)


def commits(t_us: int, index: int, term: int = 1) -> Event:
    return at(t_us, CommitAdvanced, index=index, term=term)


def truncates(t_us: int, from_index: int) -> Event:
    return at(t_us, LogTruncated, from_index=from_index)


START = at(0, Started, term=0, voted_for=None, last_index=0, digest="")
LED = [START, leads(), entry(11, 1), commits(12, 1)]
"""n1 leads term 1, and has committed its first entry."""


def said(*events: Event) -> list[str] | None:
    """The violations' messages; None without a verdict."""
    judge = Judge(voters=NODES)
    judge.observe_all(events)
    found = {verdict.invariant: verdict for verdict in judge.verdicts()}.get("membership_changes")
    return None if found is None else [violation.message for violation in found.violations]


def test_a_run_without_changes_has_no_verdict() -> None:
    assert said(*LED, entry(13, 2), commits(14, 2)) is None


def test_a_whole_change_by_joint_consensus_and_one_after_it() -> None:
    single = [uses(40, 4, Members(voters=NODES[:2], learners=("n4",))), entry(41, 4), commits(42, 4), commits(50, 4)]
    whole = [
        uses(20, 2, JOINT),
        entry(21, 2, JOINT),
        commits(30, 2),
        uses(30, 3, TWO),
        entry(31, 3, TWO),
        commits(32, 3),
    ]
    assert said(*LED, *whole, *single) == []


# ---- 1: what is used -------------------------------------------------------------------------------------------------


def test_a_configuration_is_used_at_the_latest_when_its_entry_is_durable() -> None:
    assert said(*LED, entry(21, 2, THREE), uses(22, 2, THREE)) == [
        "n1 (incarnation 1) appended a configuration, entry 2 (voters n1 n2 n3), and still uses that of entry 0 "
        "(voters n1 n2 n3 n4)"
    ]
    assert said(*LED, uses(21, 2, THREE), entry(21, 2, THREE)) == []


def test_of_recovered_ones_only_the_latest_is_used() -> None:
    start = at(5, Started, term=1, voted_for=None, last_index=2, digest="1.2")
    assert said(start, uses(5, 2, TWO), entry(5, 1, THREE), entry(5, 2, TWO)) == []


def test_a_deleted_configuration_is_used_no_longer() -> None:
    before = [*LED, uses(20, 2, THREE), entry(21, 2, THREE), follows(25, 2)]
    assert said(*before, truncates(30, 2)) == [
        "n1 (incarnation 1) still uses the configuration of entry 2 (voters n1 n2 n3), which it deletes: its log ends "
        "at 1"
    ]
    assert said(*before, uses(30, 0, ALL), truncates(30, 2)) == []
    assert said(*before, truncates(30, 3)) == []


def test_the_report_of_a_deletion_may_come_after_the_next_configuration_at_that_place() -> None:
    """It waits for the disk."""
    before = [*LED, uses(20, 2, THREE), entry(21, 2, THREE), follows(25, 2)]
    assert said(*before, uses(30, 0, ALL), uses(31, 2, TWO), truncates(30, 2), entry(31, 2, TWO, term=2)) == []


def installs(t_us: int, index: int, members: Members | None, members_index: int) -> Event:
    return at(
        t_us,
        SnapshotInstalled,
        index=index,
        term=2,
        digest=f"2.{index}",
        via="InstallSnapshot",
        members=members,
        members_index=members_index,
    )


def test_a_snapshot_in_place_of_the_log_brings_its_own() -> None:
    before = [START, follows(5, 2), uses(20, 2, THREE), entry(21, 2, THREE)]
    wrong = (
        "n1 (incarnation 1) still uses the configuration of entry 2 (voters n1 n2 n3), and not that of the snapshot in "
        "place of its log, entry {}"
    )
    assert said(*before, installs(30, 5, TWO, 2)) == [wrong.format("2 (voters n1 n2)")], "at the same index"
    assert said(*before, installs(30, 5, None, 0)) == [wrong.format("0 (voters n1 n2 n3 n4)")]
    assert said(*before, installs(30, 5, THREE, 2)) == []
    assert said(*before, uses(30, 4, TWO), installs(30, 5, TWO, 4)) == []
    assert said(*before, uses(30, 4, TWO), uses(40, 6, THREE), installs(30, 5, TWO, 4)) == [], "reported late"


def test_a_snapshot_of_what_the_log_holds_leaves_what_is_behind_it() -> None:
    log = [entry(10, 1, term=2), entry(11, 2, term=2), uses(20, 3, THREE), entry(20, 3, THREE, term=2)]
    assert said(START, follows(5, 2), *log, installs(30, 2, None, 0)) == []


# ---- 2: one change at a time, of a leader that knows what is committed -----------------------------------------------


def test_the_change_before_must_be_committed() -> None:
    change = [uses(20, 2, THREE), entry(21, 2, THREE), uses(30, 3, TWO), entry(31, 3, TWO)]
    assert said(*LED, *change, commits(40, 3)) == [
        "n1 (incarnation 1) began a change (entry 3: voters n1 n2) although that of entry 2 was not committed; it had "
        "committed up to 1"
    ]
    committed = [uses(20, 2, THREE), entry(21, 2, THREE), commits(25, 2), uses(30, 3, TWO), entry(31, 3, TWO)]
    assert said(*LED, *committed, commits(40, 3)) == []


def test_a_commit_may_be_reported_after_the_change_that_it_allows() -> None:
    """It waits for the leader's own disk, and says when the core made it."""
    change = [uses(20, 2, THREE), uses(30, 3, TWO), entry(21, 2, THREE), commits(25, 2), entry(31, 3, TWO)]
    assert said(*LED, *change, commits(40, 3)) == []


def test_a_leader_must_have_committed_an_entry_of_its_term() -> None:
    change = [uses(20, 2, THREE), entry(21, 2, THREE), commits(40, 2)]
    assert said(START, leads(), entry(11, 1), *change) == [
        "n1 (incarnation 1), the leader of term 1, began a change (entry 2: voters n1 n2 n3) before it had committed "
        "an entry of its term; it had committed up to 0"
    ]
    earlier = [*LED, follows(13, 2), leads(15, 3), entry(16, 2, term=3)]
    change = [uses(20, 3, THREE), entry(21, 3, THREE, term=3), commits(40, 3, 3)]
    found = said(*earlier, *change)
    assert found is not None and "the leader of term 3, began a change" in found[0] and "up to 1" in found[0]
    assert said(*earlier, commits(18, 2, 3), *change) == []


def test_the_end_of_joint_consensus_needs_the_joint_entry_committed_and_none_of_the_leaders_term() -> None:
    """Only one configuration can follow a joint one that is committed."""
    before = [START, follows(5, 1), entry(6, 1), uses(7, 2, JOINT), entry(7, 2, JOINT)]
    change = [leads(15, 2), entry(16, 3, term=2), uses(20, 4, TWO), entry(20, 4, TWO, term=2), commits(30, 4, 2)]
    assert said(*before, commits(9, 2), *change) == []
    found = said(*before, commits(9, 1), *change)
    assert found is not None and "although that of entry 2 was not committed; it had committed up to 1" in found[0]


def test_a_change_that_came_from_the_next_leader_is_not_the_nodes_own() -> None:
    """That it leads no longer, it reports once that is durable; what it uses, at once."""
    steps = [uses(20, 2, TWO), follows(20, 2), entry(20, 2, TWO, term=2), commits(30, 2, 2)]
    assert said(*LED, *steps) == []


def test_what_is_committed_in_a_later_term_at_the_same_time_came_after_the_change() -> None:
    """A node that was paused does much at one time."""
    change = [uses(20, 3, THREE), entry(20, 3, THREE), follows(20, 2), entry(20, 4, term=2), commits(20, 4, 2)]
    assert said(*LED, entry(14, 2), *change, commits(30, 4, 2)) == []


# ---- 3 and 4: the steps ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("steps", "wrong"),
    [
        ((TWO,), "more than one voter changes without joint consensus"),
        ((Members(voters=("n1", "n2"), old_voters=("n1", "n2", "n3")),), "the old voters of joint consensus are those"),
        ((JOINT, THREE), "joint consensus ends with the new alone"),
        ((JOINT, Members(voters=NODES[:1], old_voters=NODES[:2])), "joint consensus ends with the new alone"),
        ((THREE,), ""),
        ((Members(voters=NODES[:3], learners=("n4",)),), ""),
        ((JOINT, TWO), ""),
        ((Members(voters=OTHERS.voters, old_voters=NODES), OTHERS), ""),
    ],
)
def test_voters_change_one_at_a_time_or_jointly(steps: tuple[Members, ...], wrong: str) -> None:
    events = []
    for number, members in enumerate(steps, 2):
        events += [
            uses(10 * number, number, members),
            entry(10 * number, number, members),
            commits(10 * number + 5, number),
        ]
    found = said(*LED, *events)
    assert found is not None and len(found) == bool(wrong), found
    if found:
        assert wrong in found[0]


def test_the_steps_of_a_follower_are_not_its_own() -> None:
    """It may get several entries, or a snapshot, at once."""
    assert said(START, follows(5), uses(20, 2, TWO), entry(20, 2, TWO), commits(30, 2)) == []


# ---- 5: who leaves ---------------------------------------------------------------------------------------------------


def test_a_leader_that_removed_itself_does_not_lead_on() -> None:
    gone = [uses(20, 2, OTHERS), entry(21, 2, OTHERS), commits(30, 2)]
    assert said(*LED, *gone, entry(31, 3), commits(40, 3)) == [
        "n1 (incarnation 1) leads on although it has committed a configuration without itself (entry 2: voters n2 n3 "
        "n4)"
    ]
    assert said(*LED, *gone, follows(30), commits(40, 3, 2)) == [], "it stepped down, and hears of the next commit"
    assert said(*LED, entry(14, 2), uses(20, 3, OTHERS), entry(21, 3, OTHERS), commits(25, 2), commits(30, 3)) == []


# ---- 4: who ends joint consensus -------------------------------------------------------------------------------------


def test_a_leader_ends_the_joint_consensus_that_another_one_began() -> None:
    """It has done so when it commits again."""
    before = [START, follows(5), uses(20, 2, JOINT), entry(20, 2, JOINT), leads(30, 2), entry(31, 3, term=2)]
    assert said(*before, commits(40, 3, 2), entry(41, 4, term=2), commits(50, 4, 2)) == [
        "n1 (incarnation 1) has committed a joint configuration (entry 2: voters n1 n2, jointly with n1 n2 n3 n4), and "
        "leads on without an end of joint consensus"
    ]
    ended = [uses(40, 4, TWO), entry(41, 4, TWO, term=2), commits(50, 4, 2)]
    assert said(*before, commits(40, 3, 2), *ended) == []
    assert said(*before, commits(40, 3, 2), follows(45, 3), commits(50, 3, 3)) == [], "it leads no longer"


# ---- 6 and 7: snapshots ----------------------------------------------------------------------------------------------


def takes(t_us: int, index: int, members_index: int) -> Event:
    return at(t_us, SnapshotTaken, index=index, term=1, digest=f"1.{index}", state="s", members_index=members_index)


def test_a_snapshot_has_the_configuration_of_its_prefix() -> None:
    before = [*LED, uses(20, 2, THREE), entry(21, 2, THREE), entry(22, 3), commits(30, 3)]
    later = [uses(31, 4, TWO), entry(32, 4, TWO)]
    assert said(*before, *later, takes(40, 3, 2)) == []
    assert said(*before, *later, takes(40, 3, 4)) == [
        "n1 (incarnation 1) has a snapshot up to entry 3 with the configuration of entry 4; expected that of entry 2"
    ]
    assert said(*before, *later, takes(40, 3, 0)) == [], "not every system says it"
    deleted = [follows(33, 2), uses(34, 2, THREE), truncates(34, 4)]
    assert said(*before, *later, *deleted, takes(40, 3, 2)) == []


def test_snapshots_of_one_prefix_have_the_same_configuration() -> None:
    before = [*LED, uses(20, 2, THREE), entry(21, 2, THREE), entry(22, 3), commits(30, 3), takes(40, 3, 2)]
    other = SnapshotInstalled(
        node="n2", inc=1, t_us=50, index=3, term=1, digest="1.3", via="InstallSnapshot", members=THREE, members_index=2
    )
    starts = Started(node="n2", inc=1, t_us=0, term=1, voted_for=None, last_index=0, digest="")
    assert said(*before, starts, other) == []
    assert said(*before, starts, replace(other, members=None, members_index=0)) == [
        "n2 (incarnation 1) has a snapshot up to entry 3 with the configuration of entry 0; expected that of entry 2, "
        "as at n1"
    ]
    another = replace(other, digest="2.3", members=None, members_index=0)
    assert said(*before, starts, another) == [], "of another prefix: log_matching judges that"


def test_one_that_is_installed_has_none_behind_its_last_entry() -> None:
    assert said(START, follows(5), uses(20, 9, TWO), installs(20, 8, TWO, 9)) == [
        "n1 (incarnation 1) has a snapshot up to entry 8 with the configuration of entry 9; expected no configuration "
        "behind its last entry"
    ]


def restarts(t_us: int, base_index: int) -> Event:
    return at(t_us, Started, term=1, voted_for=None, last_index=base_index, digest="1.3", base_index=base_index)


def test_a_node_that_starts_uses_the_configuration_of_its_snapshot() -> None:
    before = [*LED, uses(20, 2, THREE), entry(21, 2, THREE), entry(22, 3), commits(30, 3), takes(40, 3, 2)]
    assert said(*before, restarts(50, 3), follows(60, 2)) == [
        "n1 (incarnation 1) has started with the configuration of entry 2 in its log or snapshot, and used that of "
        "entry 0 (voters n1 n2 n3 n4)"
    ]
    assert said(*before, restarts(50, 3), uses(50, 2, THREE), follows(60, 2)) == []
    assert said(*before, restarts(50, 7), follows(60, 2)) == [], "nobody reported that snapshot"


def test_a_node_that_starts_uses_the_latest_configuration_in_its_log() -> None:
    start = at(5, Started, term=1, voted_for=None, last_index=2, digest="1.2")
    log = [entry(5, 1, THREE), entry(5, 2, TWO)]
    assert said(start, *log, follows(10)) == [
        "n1 (incarnation 1) has started with the configuration of entry 2 in its log or snapshot, and used that of "
        "entry 0 (voters n1 n2 n3 n4)"
    ]
    assert said(start, uses(5, 1, THREE), *log, follows(10)) != []
    assert said(start, uses(5, 2, TWO), *log, follows(10)) == []
    rolled_back = [uses(8, 1, THREE), follows(8, 2), truncates(8, 2)]
    assert said(start, uses(5, 2, TWO), *log, *rolled_back, follows(10, 2)) == []


# ---- 8: who stands ---------------------------------------------------------------------------------------------------


def stands(t_us: int, term: int = 1) -> Event:
    return at(t_us, RoleChanged, role="candidate", term=term, leader=None)


def test_who_never_had_a_vote_does_not_stand() -> None:
    for event in (stands(10), at(10, PreVoteStarted, term=1)):
        judge = Judge(voters=NODES, first_voters=OTHERS.voters)
        judge.observe_all([START, event])
        found = {verdict.invariant: verdict for verdict in judge.verdicts()}["membership_changes"]
        assert [violation.message for violation in found.violations] == [
            "n1 (incarnation 1) stands for election in term 1, and never had a vote; it uses the configuration of "
            "entry 0 (voters n2 n3 n4)"
        ]
    assert said(START, stands(10)) is None
    assert said(START, uses(20, 2, OTHERS), entry(21, 2, OTHERS), stands(30)) == [], "that may not be committed"


def test_where_nobody_says_who_votes_any_node_may_stand() -> None:
    judge = Judge()
    judge.observe_all([START, stands(10)])
    assert all(verdict.outcome != "violated" for verdict in judge.verdicts())


def test_a_vote_that_it_had_in_any_incarnation_counts() -> None:
    judge = Judge(voters=NODES, first_voters=OTHERS.voters)
    judge.observe_all([START, uses(20, 2, ALL), entry(21, 2, ALL), restarts(50, 0), stands(60)])
    found = {verdict.invariant: verdict for verdict in judge.verdicts()}["membership_changes"]
    assert found.violations == ()


def answered(index: int) -> Event:
    return ChangeAnswered(node=HARNESS, inc=1, t_us=90, subject="n1", index=index)


def test_a_change_is_done_only_once_old_and_new_voters_are_not_joint_any_more() -> None:
    joint = [*LED, uses(20, 2, JOINT), entry(21, 2, JOINT)]
    done = [commits(22, 2), uses(22, 3, TWO), entry(23, 3, TWO), commits(24, 3)]
    wrong = ["n1 answered that a change is done with entry 2, which is a joint configuration " + f"({JOINT})"]
    assert said(*joint, *done, answered(3)) == []
    assert said(*joint, answered(3), *done) == [], "the harness may be faster than the node's reports"
    assert said(*joint, *done, answered(2)) == wrong
    assert said(*joint, answered(2), *done) == wrong
    assert said(*joint, answered(2)) == [], "nobody has said that this is committed"


def test_what_is_deleted_says_nothing_about_an_answer() -> None:
    replaced = [uses(20, 2, JOINT), entry(21, 2, JOINT), follows(30, 2), uses(40, 0, ALL), truncates(41, 2)]
    assert said(*LED, *replaced, entry(42, 2, term=2), commits(43, 2, 2), answered(2)) == []


def test_a_change_is_done_only_once_the_node_that_says_so_knows_that_it_is_committed() -> None:
    single = [*LED, uses(20, 2, THREE), entry(21, 2, THREE)]
    wrong = ["n1 answered that a change is done with entry 2, and did not know yet that this is committed"]
    assert said(*single, answered(2), commits(91, 2)) == wrong
    assert said(*single, answered(2), commits(80, 1), commits(95, 3)) == wrong
    assert said(*single, answered(2), commits(80, 2), commits(95, 3)) == [], "its report may come later"
    assert said(*single, commits(80, 2), answered(2), commits(95, 3)) == []
    assert said(*single, answered(2), restarts(92, 0), commits(95, 3)) == [], "what it knew may be lost"
    assert said(*single, answered(2)) == []


def test_an_answer_names_the_entry_with_which_the_change_is_done() -> None:
    assert said(*LED, uses(20, 2, THREE), answered(0)) == ["n1 answered that a change is done, and no entry says so"]
