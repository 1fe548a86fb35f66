"""Candidates, votes and winners, term by term (§5.2).

The table counts what nodes reported: a vote is a durable vote, and a term without a leader is a split vote or an
election that a fault cut short.
"""

from __future__ import annotations

import msgspec

from raft_chaos.invariants.events import AnyEvent, LeaderObserved, RoleChanged, VoteGranted


class ElectionRow(msgspec.Struct, frozen=True, kw_only=True):
    """One term in which a node stood or led.

    `votes` counts the nodes that voted for each candidate, including the candidate itself. `leaders` has at most one
    node, unless Election Safety (Fig. 3) is violated. `at_us` is the time (µs since the run began) at which the first
    leader reported its election, or, without a leader, the time of the first candidacy. `took_us` is the time from the
    first candidacy to `at_us`.
    """

    term: int
    candidates: list[str]
    votes: dict[str, int]
    leaders: list[str]
    at_us: int
    took_us: int | None


class _Term:
    """The events of one term so far, in dicts, since these keep the order of insertion and a set does not."""

    def __init__(self) -> None:
        self.stood_us: dict[str, int] = {}
        self.led_us: dict[str, int] = {}
        self.voters: dict[str, dict[str, None]] = {}


def election_rows(streams: list[list[AnyEvent]]) -> list[ElectionRow]:
    """The elections in order of their terms, from each node's own events, or from what the harness saw of leaders."""
    terms: dict[int, _Term] = {}
    for stream in streams:
        for event in stream:
            if isinstance(event, RoleChanged) and event.role != "follower":
                term = terms.setdefault(event.term, _Term())
                since_us = term.stood_us if event.role == "candidate" else term.led_us
                since_us.setdefault(event.node, event.t_us)
            elif isinstance(event, VoteGranted):
                voters = terms.setdefault(event.term, _Term()).voters
                voters.setdefault(event.candidate, {})[event.node] = None
            elif isinstance(event, LeaderObserved) and event.term:
                terms.setdefault(event.term, _Term()).led_us.setdefault(event.subject, event.t_us)
    return [_row(number, terms[number]) for number in sorted(terms) if terms[number].stood_us or terms[number].led_us]


def _row(number: int, term: _Term) -> ElectionRow:
    candidates, leaders = _by_time(term.stood_us), _by_time(term.led_us)
    stood_us = term.stood_us[candidates[0]] if candidates else None
    led_us = term.led_us[leaders[0]] if leaders else None
    at_us = led_us if led_us is not None else stood_us
    assert at_us is not None, "a term has a row only if a node stood or led in it"
    return ElectionRow(
        term=number,
        candidates=candidates,
        votes={candidate: len(term.voters[candidate]) for candidate in sorted(term.voters)},
        leaders=leaders,
        at_us=at_us,
        took_us=None if led_us is None or stood_us is None else led_us - stood_us,
    )


def _by_time(since_us: dict[str, int]) -> list[str]:
    return sorted(since_us, key=lambda node: (since_us[node], node))
