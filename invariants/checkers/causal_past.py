"""The causal past of each node: what has happened that it can know of, by its own events and the messages it received.

An event is in a node's causal past if the node itself reported it before, or if a message that was sent after it has
arrived, straight or by way of other nodes (happened before; Lamport, 1978). Whatever a node decides may rest on nothing
else. A time proves nothing here, since clocks differ, and neither does the order in which events are observed.

This view passes a node's events on to the checkers that ask for them, in two ways:

- a fact ("this entry is durable", "I voted for n1") gets its number among all facts of its node;
- a claim ("this entry is committed", "I lead") comes with what its node can know by then: for each node, the number of
  the last fact that is in the claim's causal past (a vector clock; Fidge and Mattern, 1988).

A node's events wait from the arrival of a message on, until the sender's report of sending it has been observed. So
facts and claims come in an order in which causes precede effects, and the verdict is the same in whatever order the
nodes' events are observed. In virtual time nothing ever waits. In real time each file is read for itself, so a receiver
may be read before its sender.

Nothing is claimed to be unknown to a node that it may know. A node reports what is durable before it sends a message
that depends on it, and reports a message before it sends it. So a line that a kill has torn, or that was never written,
is about something that no other node can know of. The disk of a killed node may be ahead of its report: the next
incarnation reports what it finds there before it sends anything. A paused node reports nothing and tells nobody
anything. A file that is lost takes the reports of sent messages with it, so whoever heard of that node waits until the
end, and the verdict is unknown.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

from raft_chaos.invariants.checkers.base import Checker, who
from raft_chaos.invariants.checkers.configuration import Configuration
from raft_chaos.invariants.events import ConfigurationUsed, Event, Members, MessageReceived, MessageSent, Started
from raft_chaos.invariants.verdict import Verdict

Clock: TypeAlias = Sequence[int]
"""For each node, in the order of the configuration, the number of the last fact that is known of it; 0 for none."""

MOST_SILENT = 1_000_000
"""How many events may wait for the first message, about 0.2 GB."""

OnFact: TypeAlias = Callable[[Any, int, int], None]
"""Gets the event, the place of its node in the configuration, and the number of the fact."""
OnClaim: TypeAlias = Callable[[Any, int, Clock], None]
"""Gets the event, the place of its node, and what is known there; the clock is valid only during the call."""


class Used(NamedTuple):
    """The members that a node uses since `since_us`, and those that it used before, if it has used others since it
    started."""

    members: Members
    since_us: int = 0
    before: Members | None = None


class CausalPast:
    """What each node can know. `pass_on` says, before the first event, who gets which events."""

    def __init__(self, configuration: Configuration) -> None:
        size = len(configuration.nodes)
        self._nodes = {name: _Node(place, size) for place, name in enumerate(configuration.nodes)}
        self._first = configuration.first
        self.used = [Used(self._first) for _ in configuration.nodes]
        """By place: the members that each node uses (§6)."""
        self._reported: list[tuple[Members, int, int]] = []  # the members, the place of who used them, and the fact
        self._facts: dict[type[Event], list[OnFact]] = {ConfigurationUsed: [self._on_used], Started: [self._on_started]}
        self._claims: dict[type[Event], list[OnClaim]] = {}
        self._silent = True  # no message has been reported yet, so all nodes wait
        self._kept = 0
        self._waiting = list(self._nodes.values())

    def pass_on(self, facts: Mapping[type[Event], OnFact], claims: Mapping[type[Event], OnClaim]) -> None:
        for kind, on_fact in facts.items():
            self._facts.setdefault(kind, []).append(on_fact)
        for kind, on_claim in claims.items():
            self._claims.setdefault(kind, []).append(on_claim)

    def known_members(self, known: Clock) -> Iterator[Members]:
        """All configurations of which a node with this clock can know that somebody used them."""
        yield self._first
        yield from (members for members, place, number in self._reported if number <= known[place])

    def _on_used(self, event: ConfigurationUsed, place: int, number: int) -> None:
        self.used[place] = Used(event.members, event.t_us, self.used[place].members)
        self._reported.append((event.members, place, number))

    def _on_started(self, event: Started, place: int, number: int) -> None:
        self.used[place] = Used(self._first)

    def why_incomplete(self) -> str:
        """Why some claims were not passed on, or ""."""
        if not self._nodes:
            return "nobody said which nodes vote"
        if self._silent:
            return "no node reported its messages, so nobody knows what each node could know"
        event = next((node.unread[0] for node in self._nodes.values() if node.waits), None)
        if event is None:
            return ""
        assert isinstance(event, MessageReceived)
        return (
            f"{who(event)} received message {event.number} of {event.sender} (incarnation {event.sender_inc}), "
            "which did not report that it sent it"
        )

    def observe(self, events: Iterable[Event]) -> None:
        """Some events of nodes, each node's in its own order.

        All events of a run pass through this loop, and most of them are messages. So it does not call for each, and
        many events at once cost less than one by one.
        """
        if self._silent:
            events = list(events)
            self._listen(events)
            if self._silent:
                events = self._kept_in_silence(events)
        facts, claims, waiting = self._facts, self._claims, self._waiting
        name, node = "", _Node(0, 0)
        for event in events:
            if event.node is not name:
                if event.node not in self._nodes:
                    continue  # the harness, or a node of which nobody has said that it is one
                name = event.node
                node = self._nodes[name]
                place, clock = node.place, node.clock
            if node.waits:
                node.unread.append(event)
                continue
            if type(event) is MessageSent:  # `is` costs less than isinstance
                sent = node.sent
                if event.number > sent.last:
                    sent.last = event.number
                    if node.has_news:
                        node.has_news = False
                        sent.add(event.number, clock)
                if waiting:
                    self._resume()
            elif type(event) is MessageReceived:
                known = self._clock_of(event)
                if known is None:
                    node.waits = True
                    node.unread.append(event)
                    waiting.append(node)
                elif known is not node.heard.get(event.sender):
                    node.heard[event.sender] = known
                    for other, fact in enumerate(known):
                        if fact > clock[other]:
                            clock[other] = fact
                            node.has_news = True
            elif (kind := type(event)) in facts:
                clock[place] = fact = clock[place] + 1
                node.has_news = True
                if kind is Started:
                    node.begin(event.inc)
                for on_fact in facts[kind]:
                    on_fact(event, place, fact)
            elif kind in claims:
                for on_claim in claims[kind]:
                    on_claim(event, place, clock)

    def _clock_of(self, event: MessageReceived) -> Clock | None:
        """The clock that came with a message; None if the report of sending it has not been observed."""
        sender = self._nodes.get(event.sender)
        if sender is None:
            return ()
        sent = sender.sent if sender.sent.inc == event.sender_inc else sender.sent_by.get(event.sender_inc)
        number = event.number
        if sent is None or number > sent.last:
            return None
        return sent.clock if number >= sent.since else sent.clock_of(number)

    # ---- events that wait -------------------------------------------------------------------------------------------

    def _listen(self, events: Sequence[Event]) -> None:
        """Ends the wait of all nodes with the first message: a system that reports one reports all."""
        if self._kept > MOST_SILENT:
            return
        if any(isinstance(event, MessageSent | MessageReceived) for event in events):
            self._silent = False
            self._resume()

    def _kept_in_silence(self, events: Sequence[Event]) -> list[Event]:
        """Those that may matter once there are messages, at most `MOST_SILENT` in all: a correct node sends some before
        it reports so much. Whatever is dropped, the nodes wait for ever, and the verdict is unknown."""
        kept = [event for event in events if type(event) in self._facts or type(event) in self._claims]
        self._kept += len(kept)
        return kept if self._kept <= MOST_SILENT else []

    def _resume(self) -> None:
        """Takes up the events of each node that need not wait any more. They may be what another node waits for."""
        while (node := next((node for node in self._waiting if not self._is_early(node)), None)) is not None:
            self._waiting.remove(node)
            backlog, node.unread, node.waits = node.unread, deque(), False
            self.observe(_until_it_waits(node, backlog))
            # Only the event for which it waits again was put back: to copy the rest each time would be quadratic.
            backlog.extendleft(reversed(node.unread))
            node.unread = backlog

    def _is_early(self, node: _Node) -> bool:
        """Whether the node still has to wait."""
        event = node.unread[0] if node.unread else None
        return isinstance(event, MessageReceived) and self._clock_of(event) is None


def _until_it_waits(node: _Node, backlog: deque[Event]) -> Iterator[Event]:
    while backlog and not node.waits:
        yield backlog.popleft()


class _Node:
    """One node: what it knows, and what it knew when it sent each message."""

    __slots__ = ("clock", "has_news", "heard", "place", "sent", "sent_by", "unread", "waits")

    def __init__(self, place: int, size: int) -> None:
        self.place = place
        self.clock = [0] * size
        self.has_news = True  # it knows more than when it sent its last message
        self.heard: dict[str, Clock] = {}  # the clock that came with the last message of each other voter
        self.sent = _Sent(1)
        self.sent_by = {1: self.sent}  # the messages of each incarnation; those of the current one are `sent`
        self.unread: deque[Event] = deque()
        self.waits = True

    def begin(self, inc: int) -> None:
        """A new incarnation starts."""
        self.sent = self.sent_by.setdefault(inc, _Sent(inc))
        self.has_news = True


class _Sent:
    """The messages of one incarnation, up to number `last`. From number `since` on, all came with `clock`."""

    __slots__ = ("_clocks", "_since", "clock", "inc", "last", "since")

    def __init__(self, inc: int) -> None:
        self.inc = inc
        self.last = 0
        self.since = 0
        self.clock: Clock = ()
        self._since = [0]
        self._clocks: list[Clock] = [()]

    def add(self, number: int, clock: Clock) -> None:
        """From this message on, all come with that clock."""
        self.since = number
        self.clock = tuple(clock)
        self._since.append(number)
        self._clocks.append(self.clock)

    def clock_of(self, number: int) -> Clock:
        return self._clocks[bisect_right(self._since, number) - 1]


class CausalChecker(Checker):
    """A checker that judges claims by what their nodes can know. It gets its events in causal order, from the view."""

    def __init__(self, past: CausalPast, configuration: Configuration) -> None:
        super().__init__()
        self._past = past
        self._configuration = configuration

    def facts(self) -> dict[type[Event], OnFact]:
        """The methods to call, by type of event, for what a node may come to know."""
        raise NotImplementedError

    def claims(self) -> dict[type[Event], OnClaim]:
        """The methods to call, by type of event, for what a node may say only with enough knowledge."""
        raise NotImplementedError

    def verdict(self) -> Verdict:
        """Unknown if some claim is still to be judged."""
        incomplete = self._past.why_incomplete()
        if incomplete and not self.violation_count:
            return self.conclude("unknown", incomplete)
        return super().verdict()
