"""The events of a trace that happened before some others (Lamport, 1978), and look-ups among them.

    past, where = happens_before(items, ends)     the trace of all events that can have led to the items at these places

These happen before an event: its node's own earlier events, across restarts (the disk survives them), the sending of
every message that had arrived by then, and the harness's actions on the node. HTTP is not traced, and the harness
watches all nodes, so all earlier lines happened before a client's line, a phase or the end of a run. The same holds for
every event of a system that reports no messages.

Events do not record the content of a message, nor which message caused an event. An event carries the time of the step
that made it, even if the node reported it later, when it was durable. So its cause is the last message of the right
kind that had arrived by that time. In a system that reports the time of writing, it is the last one before the event.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from typing import TypeAlias, TypeVar

from raft_chaos.invariants.causal_order import MessageId, causal_order, message_id, reporter
from raft_chaos.invariants.events import (
    HARNESS,
    AnyEvent,
    EntryAppended,
    FaultHealed,
    FaultInjected,
    LogTruncated,
    MessageReceived,
    MessageSent,
    PhaseStarted,
    RoleChanged,
    RunEnded,
    SnapshotInstalled,
    Started,
)
from raft_chaos.invariants.history import Op
from raft_chaos.invariants.trace import concerned

Item: TypeAlias = AnyEvent | Op
T = TypeVar("T")


class HappensBefore:
    """A trace in which each cause comes before its effects. A place is a position in `items`."""

    def __init__(self, items: Sequence[Item], nodes: Sequence[str], delivered: Collection[MessageId] = ()) -> None:
        """`nodes` are all nodes of the cluster, `delivered` all messages that arrived, even after this past."""
        self.items = items
        self.nodes = nodes
        self.delivered = delivered
        self.sent: dict[MessageId, int] = {}
        self.arrived: dict[MessageId, int] = {}
        self.appended: defaultdict[int, list[int]] = defaultdict(list)  # by index, recovered entries left out
        self.recovered: set[int] = set()  # asked for membership only
        self._streams: defaultdict[str, list[int]] = defaultdict(list)
        self._kinds: defaultdict[type, list[int]] = defaultdict(list)
        self._log_ends: dict[str, tuple[list[int], list[tuple[int, int]]]] = {}
        self._held: dict[tuple[str, int], list[tuple[int, EntryAppended | None]]] = {}
        recovering: dict[str, int] = {}
        for place, item in enumerate(items):
            self._streams[reporter(item)].append(place)
            self._kinds[type(item)].append(place)
            if isinstance(item, MessageSent):
                self.sent[message_id(item)] = place
            elif isinstance(item, MessageReceived):
                self.arrived.setdefault(message_id(item), place)
            elif isinstance(item, Started):
                recovering[item.node] = item.last_index
            elif isinstance(item, EntryAppended):
                if item.index <= recovering.get(item.node, 0):
                    self.recovered.add(place)
                else:
                    self.appended[item.index].append(place)
            elif isinstance(item, LogTruncated):
                recovering.pop(item.node, None)

    @property
    def traces_messages(self) -> bool:
        return bool(self.delivered)

    @property
    def majority(self) -> int:
        return len(self.nodes) // 2 + 1

    # ---- events of one kind, or of one node -----------------------------------------------------------------------

    def of(self, kind: type[T]) -> Iterator[tuple[int, T]]:
        """All events of a type, with their places."""
        for place in self._kinds[kind]:
            item = self.items[place]
            assert isinstance(item, kind)
            yield place, item

    def own(self, node: str, after: int = -1, until: int | None = None) -> Sequence[int]:
        """The places of the events that the node (or client) itself reported, between the bounds (exclusive)."""
        stream = self._streams.get(node, [])
        return stream[bisect_right(stream, after) : len(stream) if until is None else bisect_left(stream, until)]

    def last(self, kind: type[T], node: str, before: int, inc: int | None = None) -> tuple[int, T] | None:
        """The node's last event of a type before a place, in that incarnation if one is given."""
        for place in reversed(self.own(node, until=before)):
            item = self.items[place]
            if inc is not None and not isinstance(item, Op) and item.inc != inc:
                return None
            if isinstance(item, kind):
                return place, item
        return None

    def role(self, node: str, before: int) -> tuple[int, RoleChanged] | None:
        """The last role that the node had reported in its incarnation at that time."""
        for place in reversed(self.own(node, until=before)):
            item = self.items[place]
            if isinstance(item, Started):
                return None
            if isinstance(item, RoleChanged):
                return place, item
        return None

    # ---- messages -------------------------------------------------------------------------------------------------

    def sending(self, arrival: int) -> int | None:
        """Where the message that arrived there was sent."""
        event = self.items[arrival]
        assert isinstance(event, MessageReceived)
        return self.sent.get(message_id(event))

    def brought_by(self, place: int, type: str | None = None, sender: str | None = None) -> int | None:
        """The arrival that caused the node's event at `place`, by its time and position; None if there is none."""
        event = self.items[place]
        for earlier in reversed(self.own(reporter(event), until=place)):
            item = self.items[earlier]
            if isinstance(item, Started):
                return None
            fits = isinstance(item, MessageReceived) and type in (None, item.type) and sender in (None, item.sender)
            if fits and item.t_us <= event.t_us:
                return earlier
        return None

    def arrivals(self, node: str, type: str, after: int, until: int) -> list[tuple[int, MessageReceived]]:
        """The messages that arrived at the node between the two places."""
        found = ((place, self.items[place]) for place in self.own(node, after, until))
        return [(place, item) for place, item in found if isinstance(item, MessageReceived) and item.type == type]

    # ---- logs, as they were reported ------------------------------------------------------------------------------

    def log_end(self, node: str, before: int) -> tuple[int, int] | None:
        """(index, term) of the node's last entry, (0, 0) for an empty log; None if its log was not reported."""
        if node not in self._log_ends:
            self._log_ends[node] = self._follow_log(node)
        places, ends = self._log_ends[node]
        position = bisect_left(places, before)
        return ends[position - 1] if position else None

    def _follow_log(self, node: str) -> tuple[list[int], list[tuple[int, int]]]:
        terms: list[int] = []
        places: list[int] = []
        ends: list[tuple[int, int]] = []
        for place in self.own(node):
            match self.items[place]:
                case Started() as event:
                    terms = [event.base_term] * event.base_index  # of the entries before it none is asked for
                case SnapshotInstalled() as event:
                    if event.index > len(terms) or terms[event.index - 1] != event.term:
                        terms = [event.term] * event.index
                case EntryAppended() as event if 1 <= event.index <= len(terms) + 1:
                    del terms[event.index - 1 :]
                    terms.append(event.term)
                case LogTruncated() as event:
                    del terms[max(event.from_index - 1, 0) :]
                case _:
                    continue
            places.append(place)
            ends.append((len(terms), terms[-1] if terms else 0))
        return places, ends

    def held(self, node: str, index: int) -> list[tuple[int, EntryAppended | None]]:
        """The places where the entry at this index of the node's log changed, and the new entry; None: it was removed.

        A restart that recovers the same entry changes nothing.
        """
        if (node, index) not in self._held:
            self._held[node, index] = self._follow_entry(node, index)
        return self._held[node, index]

    def _follow_entry(self, node: str, index: int) -> list[tuple[int, EntryAppended | None]]:
        now: EntryAppended | None = None
        changes: list[tuple[int, EntryAppended | None]] = []
        for place in self.own(node):
            then = now
            match self.items[place]:
                case EntryAppended() as event if event.index == index:
                    then = event
                case LogTruncated() as event if event.from_index <= index:
                    then = None
                case Started() as event if event.last_index < index:
                    then = None
                case _:
                    continue
            if (then and then.digest) != (now and now.digest):
                changes.append((place, then))
            now = then
        return changes

    def entry_at(self, node: str, index: int, before: int) -> EntryAppended | None:
        """The entry at this index of the node's log, as it was before a place."""
        return next((entry for at, entry in reversed(self.held(node, index)) if at < before), None)


# ---- from a whole trace ------------------------------------------------------------------------------------------


def happens_before(items: Sequence[Item], ends: Sequence[int]) -> tuple[HappensBefore, dict[int, int]]:
    """The trace of all that happened before the items at `ends`, including them; and the place in it of each place in
    `items`.

    `items` hold each node's events in that node's own order; different nodes may be interleaved in any way.
    """
    order = causal_order(items)
    items = [items[place] for place in order]
    position = {place: n for n, place in enumerate(order)}
    streams: defaultdict[str, list[int]] = defaultdict(list)
    sent: dict[MessageId, int] = {}
    delivered: set[MessageId] = set()  # asked for membership only
    nodes: dict[str, None] = {}
    for place, item in enumerate(items):
        streams[reporter(item)].append(place)
        if isinstance(item, MessageSent):
            sent[message_id(item)] = place
        elif isinstance(item, MessageReceived):
            delivered.add(message_id(item))
        for name in () if isinstance(item, Op) else concerned(item):
            if name != HARNESS:
                nodes[name] = None
    reached = sorted(_reached(items, streams, sent, [position[end] for end in ends], traced=bool(delivered)))
    past = HappensBefore([items[place] for place in reached], sorted(nodes, key=_by_number), delivered)
    return past, {order[place]: n for n, place in enumerate(reached)}


def _by_number(node: str) -> tuple[str, int, str]:
    """A sort key that puts n2 before n10."""
    stem = node.rstrip("0123456789")
    return stem, int(node[len(stem) :] or 0), node


def _reached(
    items: Sequence[Item],
    streams: dict[str, list[int]],
    sent: dict[MessageId, int],
    ends: Sequence[int],
    *,
    traced: bool,
) -> set[int]:
    """The places of the ends and of all that happened before them. `traced`: the system reports its messages."""
    reached: set[int] = set()  # sorted before anybody iterates it
    known: dict[str, int] = {}  # how many events of each stream
    todo = []
    for end in ends:
        item = items[end]
        reached.add(end)
        if isinstance(item, (Op, PhaseStarted, RunEnded)) or not traced:
            todo += [(name, end) for name in streams]
        else:
            todo += [(name, end) for name in concerned(item) if name != HARNESS]
    while todo:
        name, place = todo.pop()
        stream = streams.get(name, [])
        start, stop = known.get(name, 0), bisect_right(stream, place)
        known[name] = max(start, stop)
        for earlier in stream[start:stop]:
            reached.add(earlier)
            event = items[earlier]
            if isinstance(event, MessageReceived) and message_id(event) in sent:
                todo.append((event.sender, sent[message_id(event)]))
    latest = {name: streams[name][count - 1] for name, count in known.items() if count}
    for end in ends:
        for name in () if isinstance(item := items[end], Op) else concerned(item):
            latest[name] = max(latest.get(name, -1), end)
    return reached | set(_done_to(items, streams.get(HARNESS, []), latest, max(reached, default=-1)))


def _done_to(items: Sequence[Item], harness: Sequence[int], latest: dict[str, int], until: int) -> Iterator[int]:
    """The harness's actions on nodes before the last event of each node that counts."""
    faults: set[str] = set()  # asked for membership only
    for place in harness:
        item = items[place]
        if isinstance(item, FaultHealed):
            if item.fault in faults and place < until:
                yield place
        elif any(place < latest.get(name, -1) for name in concerned(item)[1:]):
            if isinstance(item, FaultInjected):
                faults.add(item.fault)
            yield place
