"""efficiency: a leader and a candidate send no more than a fixed multiple of what they need.

The paper asks for the next heartbeat, for each entry once, and for a retry of what was lost. A leader that sends the
same again and again keeps the log right, so no other invariant sees it, even when the cluster does nothing else.

Six rules, for c clients with commands of at most e bytes, and a log of b bytes of commands that fits into w messages:

1. In one window (a heartbeat interval, at most 50 ms) a node sends each peer at most MOST_TIMES * (1 + w) +
   PER_CLIENT * c requests of one type (AppendEntries, RequestVote, PreVote).
2. In one leadership it sends each peer at most MOST_TIMES * b + PER_CLIENT * c * e bytes of commands, however long it
   leads: a whole log in each heartbeat is one message, and too much all the same.
3. In one leadership no AppendEntries begins before what its receiver has acknowledged (`acknowledged`), and no
   InstallSnapshot ends there.
4. In one leadership a peer that has got a snapshot gets the entries behind it that the leader had by then, and no other
   snapshot before it has them, unless it is silent (`snapshot_transfers`).
5. In one leadership a peer gets parts of snapshots as it answers, or as heartbeats are due (`snapshot_parts`).
6. In one leadership a peer gets no more entries while as many bytes of commands are on their way to it as its leader
   allows (`bytes_in_flight`).

The number of nodes counts, since each pair has its own bounds; the rate, by the clients; restarts and lagging peers, by
the log. Answers need no rule, since each answers a request.

Why no correct node is convicted:
- Heartbeats and elections are one message in a window, also on a clock that runs fast. A clock that goes forward and
  back adds one each time that it goes forward: 5 in a window at most.
- A client has one operation under way, and each takes two hops and a sync at least: 0.5 ms, so at most `PER_CLIENT`
  new entries in a window. It also holds for entries that the leader sends before its own disk has them, and for the
  rounds of heartbeats that confirm reads: one runs at a time, takes two hops, and begins only after a client's read.
- A leader streams its log to a peer that lags, at most w messages. If the network loses or reorders one, the peer
  rejects all behind it, and they are sent again. `raft.state.progress` keeps what is sent in vain below twice the first
  flight and what the peer acknowledges. So both bounds are linear in the log.
- Measured in 50 seeds of the swarm, 100 commands a second, with one entry in a message, which is the worst: in its
  worst window the right core sent 1.2 * (1 + w) AppendEntries, a 42nd of what is allowed (897 at w = 740), and in its
  worst leadership it sent one peer 2.1 * b bytes, a 26th. RequestVote and PreVote: never more than 2 in a window.
- What rule 6 takes for bytes on their way, the leader does too: it may count more, for a message that has been
  acknowledged in part, or after a change of the members. Rejections, snapshots and a new leadership end a count. Of
  inputs that came together a node reports first that they came, and then what it sent: messages that it sent before it
  took in a rejection count as if they came after, until it sends what comes before them.
- All of it is what the node itself reports, in its own order. A node that was stopped or starved sends later, and not
  more; a machine that is slow, or a harness that reads late, makes no window fuller. Copies that the network makes are
  no messages of the sender, and an answer that comes twice moves nothing at a correct leader.
- A leader whose clock is wrong takes a peer for silent too soon: what such a time touches is not judged by rule 4, and
  in real time, where the harness reports it late, no leader whose clock was ever wrong. The other rules hold on any
  clock.
"""

from __future__ import annotations

from dataclasses import dataclass

from raft_chaos.invariants.checkers.acknowledged import Acknowledged
from raft_chaos.invariants.checkers.base import Checker, Handlers, who
from raft_chaos.invariants.checkers.bytes_in_flight import BytesInFlight
from raft_chaos.invariants.checkers.disturbed import RightClocks
from raft_chaos.invariants.checkers.messages import ACCEPTED, APPEND, INSTALLED, SNAPSHOT, when_received, when_sent
from raft_chaos.invariants.checkers.snapshot_parts import SnapshotParts
from raft_chaos.invariants.checkers.snapshot_transfers import SnapshotTransfers
from raft_chaos.invariants.events import (
    ConfigurationUsed,
    EntryAppended,
    Event,
    MessageReceived,
    MessageSent,
    RoleChanged,
    Started,
)
from raft_chaos.invariants.pace import Pace
from raft_chaos.invariants.verdict import Verdict

MOST_TIMES = 50
PER_CLIENT = 100
LONGEST_WINDOW_US = 50_000
REQUESTS = (APPEND, "RequestVote", "PreVote")
FLOW_CONTROL = "A leader sends entries without waiting for answers, up to a limit in bytes (thesis, §10.2.2)."
SILENT_TIMEOUTS = 5
"""A peer that acknowledges nothing for so many of the longest election timeouts may get another snapshot: half of the
time for which our leaders wait."""


class _Sent:
    """The requests of one type to one peer in one window, and the bytes of their commands."""

    __slots__ = ("count", "first", "last", "size")

    def __init__(self, event: MessageSent) -> None:
        self.count = 0
        self.size = 0
        self.first = self.last = event


class _Node:
    """The current incarnation of a node, its leadership if it leads, and its window."""

    __slots__ = ("acknowledged", "brought", "ends_us", "flight", "last_index", "parts", "sent", "size", "transfers")

    def __init__(self, ends_us: int) -> None:
        self.ends_us = ends_us
        self.last_index = 0
        """The highest that its log has had; it may be shorter by now."""
        self.size = 0
        """The bytes of all commands that its log has had, as far as it reported them."""
        self.acknowledged: Acknowledged | None = None
        self.transfers: SnapshotTransfers | None = None
        self.parts: SnapshotParts | None = None
        self.flight: BytesInFlight | None = None
        self.brought: dict[str, int] = {}
        """By follower, the bytes of commands that this leadership sent it in the windows that are over."""
        self.sent: dict[tuple[str, str], _Sent] = {}
        """By receiver and type."""


@dataclass(frozen=True, slots=True)
class _Doubt:
    """A snapshot that seems needless; it is judged when all faults of clocks are known."""

    message: str
    shown: tuple[Event, ...]


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
        self._silent_us = SILENT_TIMEOUTS * self._pace.election_timeout_us[1]
        self._nodes: dict[str, _Node] = {}
        self._clocks = RightClocks()
        self._doubts: list[_Doubt] = []

    def handlers(self) -> Handlers:
        if not self._is_known:
            return {}
        return {
            **self._clocks.handlers(),
            **when_sent(self._on_sent, *REQUESTS),
            **when_sent(self._on_snapshot_sent, SNAPSHOT),
            **when_received(self._on_acknowledged, ACCEPTED),
            **when_received(self._on_snapshot_answered, INSTALLED),
            EntryAppended: self._on_appended,
            RoleChanged: self._on_role_changed,
            Started: self._on_started,
            ConfigurationUsed: self._on_configuration,
        }

    @property
    def applies(self) -> bool:
        return self._is_known

    def _of(self, event: Event) -> _Node:
        return self._nodes.get(event.node) or self._new(event)

    def _new(self, event: Event) -> _Node:
        node = self._nodes[event.node] = _Node(event.t_us + self._window_us)
        return node

    def _on_started(self, event: Started) -> None:
        if (earlier := self._nodes.get(event.node)) is not None:
            self._close(earlier)
        self._new(event)

    def _on_role_changed(self, event: RoleChanged) -> None:
        node = self._of(event)
        self._close(node)
        node.brought.clear()
        leads = event.role == "leader"
        node.acknowledged = Acknowledged(event.term) if leads else None
        node.parts = SnapshotParts(event.t_us, self._window_us) if leads else None
        node.flight = BytesInFlight(event.term) if leads and self._pace.bytes_in_flight else None
        node.transfers = (
            SnapshotTransfers(event.term, event.t_us, self._silent_us) if leads and self._silent_us else None
        )

    def _on_configuration(self, event: ConfigurationUsed) -> None:
        node = self._of(event)
        if node.transfers is not None:
            node.transfers.use(event.members)
        if node.flight is not None:
            node.flight.begin_anew()

    def _on_appended(self, event: EntryAppended) -> None:
        node = self._of(event)
        node.size += event.size
        if event.index > node.last_index:
            node.last_index = event.index
        if node.transfers is not None and event.term == node.transfers.term:
            node.transfers.has(event.index)

    def _on_acknowledged(self, event: MessageReceived) -> None:
        if not event.match_index and not event.rejected_index:
            return
        node = self._of(event)
        if node.flight is not None:
            node.flight.received(event)
        if not event.match_index:
            return
        if node.acknowledged is not None:
            node.acknowledged.received(event)
        if node.transfers is not None:
            node.transfers.received(event)

    def _on_snapshot_answered(self, event: MessageReceived) -> None:
        if (parts := self._of(event).parts) is not None:
            parts.answered(event.sender)
        self._on_acknowledged(event)

    def _on_sent(self, event: MessageSent) -> None:
        node = self._of(event)
        if event.t_us >= node.ends_us:
            self._close(node)
            node.ends_us = event.t_us + self._window_us
        key = event.to, event.type
        sent = node.sent.get(key)
        if sent is None:
            sent = node.sent[key] = _Sent(event)
        sent.count += 1
        sent.size += event.size
        sent.last = event
        if event.type == APPEND and node.acknowledged is not None:
            if event.prev_log_index > node.last_index:  # it sends entries before its own disk has them
                node.last_index = event.prev_log_index
            if node.flight is not None and (full := node.flight.sent(event, self._pace.bytes_in_flight)) is not None:
                self._too_many_bytes(event, *full)
            if node.transfers is not None:
                node.transfers.has(event.prev_log_index)
            if (known := node.acknowledged.ignored_by(event)) is not None:
                self._needless(event, known)

    def _on_snapshot_sent(self, event: MessageSent) -> None:
        """A part of a snapshot (§7), whose last entry must be one that the receiver has not acknowledged."""
        node = self._of(event)
        self.judged += 1
        if node.flight is not None:
            node.flight.snapshot_sent(event.to)
        if node.parts is not None and (many := node.parts.sent(event)) is not None:
            begun, sent, most = many
            self.violate(
                f"{who(event)} has sent {event.to} {sent} parts of snapshots since it leads; at most {most} are "
                "plausible after so many answers and heartbeats",
                begun,
                event,
            )
        if node.transfers is not None and (another := node.transfers.sent(event)) is not None:
            first, done, owed = another
            message = (
                f"{who(event)} sent {event.to} a snapshot up to entry {event.prev_log_index}, although {event.to} had "
                f"got one up to {first.prev_log_index} in this term ({done.term}), and was owed the entries behind it, "
                f"up to {owed}"
            )
            self._doubts.append(_Doubt(message, (first, done, event)))
        if node.acknowledged is None or (known := node.acknowledged.has_all_of(event)) is None:
            return
        self.violate(
            f"{who(event)} sent {event.to} a snapshot up to entry {event.prev_log_index}, although {event.to} had "
            f"acknowledged all up to {known.match_index} in this term ({known.term})",
            known,
            event,
        )

    def verdict(self) -> Verdict:
        """Judges the windows that are still open, too, and the snapshots: all faults of clocks are known by now."""
        for node in self._nodes.values():
            self._close(node)
        for doubt in [*self._doubts]:
            first, last = doubt.shown[0], doubt.shown[-1]
            if self._clocks.counted(first.node, first.t_us - self._silent_us, last.t_us):
                self._doubts.remove(doubt)
                self.violate(doubt.message, *doubt.shown)
        return super().verdict()

    def _close(self, node: _Node) -> None:
        """Judges what the node sent in the window, and empties it."""
        self.judged += len(node.sent)
        for sent in node.sent.values():
            if sent.count > MOST_TIMES:
                self._judge_count(node, sent)
            if sent.size and self._pace.entry_bytes:
                self._judge_size(node, sent)
        node.sent.clear()

    def _judge_count(self, node: _Node, sent: _Sent) -> None:
        whole_log = -(-node.last_index // self._pace.entries_per_message)
        most = MOST_TIMES * (1 + whole_log) + PER_CLIENT * self._pace.clients
        if sent.count > most:
            first, last = sent.first, sent.last
            self.violate(
                f"{who(first)} sent {sent.count} {first.type} to {first.to} within {last.t_us - first.t_us} µs, from "
                f"{first.t_us} µs on; its whole log fits into {whole_log}, and at most {most} are plausible",
                first,
                last,
            )

    def _judge_size(self, node: _Node, sent: _Sent) -> None:
        peer = sent.first.to
        bytes_by_now = node.brought[peer] = node.brought.get(peer, 0) + sent.size
        most = MOST_TIMES * node.size + PER_CLIENT * self._pace.clients * self._pace.entry_bytes
        if bytes_by_now > most:
            self.violate(
                f"{who(sent.first)} has sent {peer} {bytes_by_now} bytes of commands since it leads; its whole log has "
                f"{node.size}, and at most {most} are plausible",
                sent.first,
                sent.last,
            )

    def _too_many_bytes(self, sent: MessageSent, first: MessageSent, size: int) -> None:
        self.violate(
            f"{who(sent)} sent {sent.to} what follows entry {sent.prev_log_index}, although {size} bytes of commands "
            f"were on their way to it already; at most {self._pace.bytes_in_flight} and one message may be",
            first,
            sent,
            rule=FLOW_CONTROL,
        )

    def _needless(self, sent: MessageSent, known: MessageReceived) -> None:
        self.violate(
            f"{who(sent)} sent {sent.to} what follows entry {sent.prev_log_index}, although {sent.to} had acknowledged "
            f"all up to {known.match_index} in this term ({known.term})",
            known,
            sent,
        )
