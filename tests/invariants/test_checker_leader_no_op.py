"""leader_no_op: n1 is elected in term 2, with an entry of term 1 in its log."""

from __future__ import annotations

from raft_chaos.invariants.events import EntryAppended, Event, RoleChanged, SnapshotInstalled, Started
from raft_chaos.invariants.judge import Judge
from raft_chaos.invariants.pace import Pace
from raft_chaos.invariants.verdict import Verdict

PACE = Pace(20_000, 10, 1)
ELECTED = RoleChanged(node="n1", inc=1, t_us=20, role="leader", term=2, leader="n1")


def appended(index: int, term: int, size: int, inc: int = 1) -> Event:
    return EntryAppended(node="n1", inc=inc, t_us=30, index=index, term=term, digest=f"{index}", size=size)


def starts(inc: int = 1) -> Event:
    return Started(node="n1", inc=inc, t_us=10 * inc, term=1, voted_for=None, last_index=0, digest="")


def verdict(*events: Event, pace: Pace | None = PACE) -> Verdict | None:
    judge = Judge(voters=("n1",), pace=pace)
    for event in events:
        judge.observe(event)
    return next((one for one in judge.verdicts() if one.invariant == "leader_no_op"), None)


def test_a_leader_that_begins_with_a_command_is_convicted() -> None:
    found = verdict(starts(), appended(1, 1, 9), ELECTED, appended(2, 2, 7))
    assert found is not None and found.outcome == "violated"
    (violation,) = found.violations
    assert violation.message == (
        "n1 (incarnation 1), the leader of term 2, began it with a command of 7 bytes, entry 2, and not with a no-op"
    )
    assert violation.witness == (ELECTED, appended(2, 2, 7))


def test_only_its_first_entry_of_the_term_counts() -> None:
    found = verdict(starts(), ELECTED, appended(1, 1, 9), appended(2, 2, 0), appended(3, 2, 7))
    assert found is not None and (found.outcome, found.judged) == ("valid", 1)


def test_a_follower_and_a_node_that_has_restarted_have_what_others_appended() -> None:
    assert verdict(starts(), appended(1, 2, 7)) is None
    assert verdict(starts(), ELECTED, starts(2), appended(1, 2, 7, inc=2)) is None


def test_a_snapshot_may_have_taken_the_place_of_a_no_op_that_was_never_reported() -> None:
    """It was cut off before it was durable, became committed elsewhere, and comes back in a snapshot."""
    snapshot = SnapshotInstalled(node="n1", inc=1, t_us=25, index=1, term=2, digest="1", via="InstallSnapshot")
    assert verdict(starts(), ELECTED, snapshot, appended(2, 2, 7)) is None


def test_other_systems_may_begin_with_anything() -> None:
    assert verdict(starts(), ELECTED, appended(1, 2, 7), pace=None) is None
