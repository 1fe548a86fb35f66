"""The requests of leaders and the answers to them, as nodes report them: whose answers a leader had, and to what.

A report of an answer does not say which request it answers. But its sender had received that request before, so it
answers none that is later than the latest request that its sender had received by then. Requests of one incarnation
are numbered in the order in which they are sent.

All is kept in arrays of integers: most events of a run are requests and answers, and runs may be long.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from typing import TypeAlias

from raft_chaos.invariants.checkers.base import Handlers
from raft_chaos.invariants.checkers.messages import FROM_LEADERS, REPLIES, when_received, when_sent
from raft_chaos.invariants.events import MessageReceived, MessageSent

_Link: TypeAlias = tuple[str, int, str]
"""An incarnation of a node, and another node."""


class RoundTrips:
    """Who had answered by when to what a leader had sent since when."""

    def __init__(self) -> None:
        self._requests: dict[_Link, tuple[array[int], array[int]]] = {}  # by link from it: their numbers, and when
        self._latest: dict[_Link, tuple[int, int]] = {}  # by link to it: incarnation and number of the latest request
        self._answers: dict[_Link, tuple[array[int], array[int], array[int]]] = {}  # by link from it: number, `_latest`
        self._answered: dict[_Link, tuple[array[int], array[int], array[int]]] = {}  # by link to it: when, inc, number

    def handlers(self) -> Handlers:
        return {
            **when_sent(self._on_request, *FROM_LEADERS),
            **when_received(self._on_request_received, *FROM_LEADERS),
            **when_sent(self._on_answer, *REPLIES),
            **when_received(self._on_answer_received, *REPLIES),
        }

    @property
    def are_reported(self) -> bool:
        """Whether nodes report their messages."""
        return bool(self._requests)

    def _on_request(self, event: MessageSent) -> None:
        link = event.node, event.inc, event.to
        sent = self._requests.get(link)
        if sent is None:
            sent = self._requests[link] = array("q"), array("q")
        sent[0].append(event.number)
        sent[1].append(event.t_us)

    def _on_request_received(self, event: MessageReceived) -> None:
        link = event.node, event.inc, event.sender
        request = event.sender_inc, event.number
        latest = self._latest.get(link)
        if latest is None or request > latest:
            self._latest[link] = request

    def _on_answer(self, event: MessageSent) -> None:
        link = event.node, event.inc, event.to
        if (latest := self._latest.get(link)) is None:
            return
        sent = self._answers.get(link)
        if sent is None:
            sent = self._answers[link] = array("q"), array("q"), array("q")
        sent[0].append(event.number)
        sent[1].append(latest[0])
        sent[2].append(latest[1])

    def _on_answer_received(self, event: MessageReceived) -> None:
        link = event.node, event.inc, event.sender
        received = self._answered.get(link)
        if received is None:
            received = self._answered[link] = array("q"), array("q"), array("q")
        received[0].append(event.t_us)
        received[1].append(event.sender_inc)
        received[2].append(event.number)

    def answered(self, node: str, inc: int, peer: str, from_us: int, to_us: int) -> bool:
        """Whether this incarnation had received by `to_us` what may answer a request that it had sent to the peer at
        `from_us` or later."""
        link = node, inc, peer
        numbers, sent_us = self._requests.get(link, ((), ()))
        first = bisect_left(sent_us, from_us)
        if first == len(numbers):
            return False
        received_us, incs, answers = self._answered.get(link, ((), (), ()))
        places = range(bisect_left(received_us, from_us), bisect_right(received_us, to_us))
        return any(self._latest_before(peer, incs[at], node, answers[at]) >= (inc, numbers[first]) for at in places)

    def _latest_before(self, peer: str, peer_inc: int, to: str, number: int) -> tuple[int, int]:
        """The latest request that the peer had received from `to` when it sent the answer of this number."""
        numbers, incs, requests = self._answers.get((peer, peer_inc, to), ((), (), ()))
        at = bisect_left(numbers, number)
        return (incs[at], requests[at]) if at < len(numbers) and numbers[at] == number else (0, 0)
