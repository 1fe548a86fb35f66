"""efficiency: a leader and a candidate send no more than a fixed multiple of the messages that they need.

The paper asks for the next heartbeat, for each entry once, and for a retry of what was lost. A leader that sends the
same again and again keeps the log right, so no other invariant sees it, even when the cluster does nothing else.

The rule: in one window (a heartbeat interval, at most 50 ms) a node sends each peer at most

    w * w + MOST_TIMES * (1 + w) + PER_CLIENT * c

requests of one type (AppendEntries, RequestVote), for c clients and a log that fits into w messages. The number of
nodes counts, since each pair has its own bound; the rate, by the clients; restarts and lagging peers, by the log.
Answers need no rule, since each answers a request.

Why no correct node is convicted:
- Heartbeats and elections are one message in a window, also on a clock that runs fast. A clock that goes forward and
  back adds one each time that it goes forward: 5 in a window at most.
- A client has one operation under way, and each takes two hops and a sync at least: 0.5 ms, so at most `PER_CLIENT`
  new entries in a window. It also holds for entries that the leader sends before its own disk has them.
- A leader streams its log to a peer that lags, at most w messages. The network reorders one, the peer refuses those
  behind it, and each refusal that is late enough may make the leader start again: w times at most. So w * w messages
  are the worst of one burst. It takes one entry a message, hundreds of entries behind, and a network that reorders,
  which only `sim` and `lockstep` have; in `live` 2,000 entries are one message, so w is 1 or a little more.
- Measured in 320 seeds with the right core: its worst window had 0.19 of what is allowed (108,109 messages, w = 738),
  the next ones 0.18 and 0.15, and 9 of 10 seeds less than 0.02. RequestVote: never more than 2 in a window.
- All of it is what the node itself reports, in its own order. A node that was stopped or starved sends later, and not
  more; a machine that is slow, or a harness that reads late, makes no window fuller. Copies that the network makes are
  no messages of the sender, and an answer that comes twice moves nothing at a correct leader.

Only messages are counted, no bytes: no event says how long a message is.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from raft_chaos.invariants.checkers.base import Checker, who
from raft_chaos.invariants.events import EntryAppended, Event, MessageSent, Started
from raft_chaos.invariants.pace import Pace
from raft_chaos.invariants.verdict import Verdict

MOST_TIMES = 50
PER_CLIENT = 100
LONGEST_WINDOW_US = 50_000
REQUESTS = ("AppendEntries", "RequestVote")


class _Sent:
    """The requests of one type to one peer in one window."""

    __slots__ = ("count", "first", "last")

    def __init__(self, event: MessageSent) -> None:
        self.count = 0
        self.first = self.last = event


class _Node:
    """The current incarnation of a node, and its window."""

    __slots__ = ("ends_us", "last_index", "sent")

    def __init__(self, ends_us: int) -> None:
        self.ends_us = ends_us
        self.last_index = 0
        """The highest that its log has had."""
        self.sent: dict[tuple[str, str], _Sent] = {}
        """By receiver and type."""


class Efficiency(Checker):
    """No node sends a peer much more than it needs. Judged for our own Raft alone (a system with a `pace`): the
    messages of another system may mean anything."""

    invariant = "efficiency"
    goes_by_time = True
    rule = "A leader sends heartbeats, each entry once, and again what was lost (§5.2, §5.3)."
    nothing_judged = "no node sent anything"

    def __init__(self, pace: Pace | None) -> None:
        super().__init__()
        self._is_known = pace is not None
        self._pace = pace or Pace(LONGEST_WINDOW_US, 1, 0)
        self._window_us = min(self._pace.heartbeat_us, LONGEST_WINDOW_US)
        self._nodes: dict[str, _Node] = {}

    @property
    def applies(self) -> bool:
        return self._is_known

    def observe(self, events: Iterable[Any]) -> None:
        """Many events at once, without handlers: most of all events are messages."""
        for event in events:
            kind = event.__class__
            if kind is MessageSent:
                if event.type in REQUESTS:
                    self._on_sent(event)
            elif kind is EntryAppended:
                self._on_appended(event)
            elif kind is Started:
                self._on_started(event)

    def _on_started(self, event: Started) -> None:
        if (earlier := self._nodes.get(event.node)) is not None:
            self._close(earlier)
        self._new(event)

    def _new(self, event: Event) -> _Node:
        node = self._nodes[event.node] = _Node(event.t_us + self._window_us)
        return node

    def _on_appended(self, event: EntryAppended) -> None:
        node = self._nodes.get(event.node) or self._new(event)
        if event.index > node.last_index:
            node.last_index = event.index

    def _on_sent(self, event: MessageSent) -> None:
        node = self._nodes.get(event.node) or self._new(event)
        if event.t_us >= node.ends_us:
            self._close(node)
            node.ends_us = event.t_us + self._window_us
        key = event.to, event.type
        sent = node.sent.get(key)
        if sent is None:
            sent = node.sent[key] = _Sent(event)
        sent.count += 1
        sent.last = event

    def verdict(self) -> Verdict:
        """Judges the windows that are still open, too."""
        for node in self._nodes.values():
            self._close(node)
        return super().verdict()

    def _close(self, node: _Node) -> None:
        """Judges what the node sent in the window, and empties it."""
        self.judged += len(node.sent)
        for sent in node.sent.values():
            if sent.count > MOST_TIMES:
                self._judge(node, sent)
        node.sent.clear()

    def _judge(self, node: _Node, sent: _Sent) -> None:
        whole_log = -(-node.last_index // self._pace.entries_per_message)
        most = whole_log**2 + MOST_TIMES * (1 + whole_log) + PER_CLIENT * self._pace.clients
        if sent.count > most:
            first, last = sent.first, sent.last
            self.violate(
                f"{who(first)} sent {sent.count} {first.type} to {first.to} within {last.t_us - first.t_us} µs, from "
                f"{first.t_us} µs on; its whole log fits into {whole_log}, and at most {most} are plausible",
                first,
                last,
            )
