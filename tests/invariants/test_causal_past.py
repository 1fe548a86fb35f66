"""The view of what nodes can know holds back as little as it must, and takes up what waits once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pytest

from event_scripts import receives, sends, votes
from raft_chaos.invariants.checkers import causal_past
from raft_chaos.invariants.checkers.causal_past import CausalPast
from raft_chaos.invariants.checkers.configuration import Configuration
from raft_chaos.invariants.events import Event, VoteGranted

MANY = 300


class Counting(CausalPast):
    """Counts how often it looks at an event."""

    looks = 0

    def observe(self, events: Iterable[Event]) -> None:
        super().observe(self._counted(events))

    def _counted(self, events: Iterable[Event]) -> Iterator[Event]:
        for event in events:
            self.looks += 1
            yield event


def view() -> tuple[Counting, list[Event]]:
    past, passed = Counting(Configuration(("n1", "n2", "n3"))), list[Event]()
    past.pass_on({VoteGranted: lambda event, place, fact: passed.append(event)}, {})
    return past, passed


def test_a_receiver_that_is_read_first_is_taken_up_in_linear_time() -> None:
    past, passed = view()
    past.observe([sends("n3", "n1")])
    for number in range(1, MANY + 1):
        past.observe([receives("n2", "n1", number), votes("n2", number, "n1")])
    for number in range(1, MANY + 1):
        assert len(passed) == number - 1
        past.observe([sends("n1", "n2", number)])
    assert len(passed) == MANY and not past.why_incomplete()
    assert past.looks < 7 * MANY


def test_what_waits_for_the_first_message_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(causal_past, "MOST_SILENT", 10)
    past, passed = view()
    for term in range(1, MANY):
        past.observe([votes("n1", term, "n1")])
    past.observe([sends("n1", "n2")])
    assert not passed
    assert past.looks < 3 * MANY
    assert past.why_incomplete().startswith("no node reported its messages")
