"""leadership_transfer: n1 leads term 2 with a log of three entries, and tells n2 to stand for election."""

from __future__ import annotations

import pytest

from event_scripts import judged
from raft_chaos.invariants.events import EntryAppended, Event, MessageReceived, MessageSent, RoleChanged, Started
from raft_chaos.invariants.verdict import Verdict

START = Started(node="n1", inc=1, t_us=0, term=0, voted_for=None, last_index=0, digest="")
LEADS = RoleChanged(node="n1", inc=1, t_us=10, role="leader", term=2, leader="n1")


def entry(index: int) -> Event:
    return EntryAppended(node="n1", inc=1, t_us=20 + index, index=index, term=2, digest=f"{index:016x}", size=1)


def acked(index: int, *, term: int = 2, sender: str = "n2") -> Event:
    return MessageReceived(
        node="n1",
        inc=1,
        t_us=40,
        sender=sender,
        sender_inc=1,
        number=index,
        type="AppendEntriesReply",
        term=term,
        match_index=index,
    )


TOLD = MessageSent(node="n1", inc=1, t_us=50, to="n2", number=9, type="TimeoutNow")
LOG = [entry(1), entry(2), entry(3)]


def verdict(*events: Event) -> Verdict | None:
    return judged(*events).get("leadership_transfer")


def said(*events: Event) -> list[str]:
    found = verdict(*events)
    assert found is not None
    return [violation.message for violation in found.violations]


def test_a_target_that_has_acknowledged_all_is_told() -> None:
    assert said(START, LEADS, *LOG, acked(2), acked(3), TOLD) == []
    assert said(START, LEADS, *LOG, acked(3), acked(2), TOLD) == [], "one that comes late takes nothing back"


@pytest.mark.parametrize(
    ("acknowledged", "has"),
    [([], 0), ([acked(2)], 2), ([acked(3, term=1)], 0), ([acked(3, sender="n3")], 0)],
)
def test_a_target_that_has_not_is_not_told(acknowledged: list[Event], has: int) -> None:
    """Of no other term and no other node does an acknowledgement count."""
    assert said(START, LEADS, *LOG, *acknowledged, TOLD) == [
        f"n1 (incarnation 1) told n2 to stand for election, which had acknowledged entries up to {has} of 3 in this "
        "term (2)"
    ]


def test_what_was_acknowledged_in_an_earlier_leadership_does_not_count() -> None:
    again = RoleChanged(node="n1", inc=1, t_us=46, role="leader", term=4, leader="n1")
    lost = RoleChanged(node="n1", inc=1, t_us=45, role="follower", term=3, leader=None)
    assert len(said(START, LEADS, *LOG, acked(3), lost, again, TOLD)) == 1


def test_nobody_but_a_leader_tells() -> None:
    lost = RoleChanged(node="n1", inc=1, t_us=45, role="follower", term=3, leader=None)
    expected = ["n1 (incarnation 1) sent n2 a TimeoutNow, and does not lead"]
    assert said(START, LEADS, *LOG, acked(3), lost, TOLD) == expected
    assert said(START, TOLD) == expected


def test_entries_that_the_leader_has_not_reported_yet_are_not_demanded() -> None:
    assert said(START, LEADS, *LOG[:2], acked(2), TOLD, entry(3)) == []


def test_a_run_without_a_transfer_has_no_verdict() -> None:
    assert verdict(START, LEADS, *LOG, acked(3)) is None
