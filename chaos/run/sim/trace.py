"""The trace: everything that happens in a run, in the one order in which it happens.

Each event and each client operation is a JSON line, the same bytes as in the run directory's files; the trace's digest
is the SHA-256 of all of them. Two runs are the same run exactly if their digests are equal. Each event also goes to the
judge, the tally and the cluster's view, and, if the run is recorded, to its files.

Each of these gets an event at once, and the judge judges many at a time. Most events have no other handler: they are
only counted and hashed, many at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from typing import Any

import msgspec

from raft_chaos.chaos.judgement.tally import Tally
from raft_chaos.chaos.run.cluster_view import ClusterView
from raft_chaos.chaos.run.sim.recorder import HARNESS_STREAM, HISTORY_STREAM, LineSink, Stream
from raft_chaos.invariants.events import AnyEvent, Event, HarnessEvent
from raft_chaos.invariants.history import Op, OpType
from raft_chaos.invariants.judge import Judge

HASHED_AT_ONCE = 2_000
"""How many events and operations to hash at once: they never change, and one call for many is cheaper."""

_encode_lines = msgspec.json.Encoder().encode_lines


class Trace:
    """Takes events in the order of the run. `harness_events` and `operations` are kept, nodes' events only counted.

    The tally is complete after `digest`.
    """

    def __init__(self, judge: Judge, tally: Tally, view: ClusterView, recorder: LineSink | None) -> None:
        self.judge = judge
        self.tally = tally
        self.harness_events: list[AnyEvent] = []
        self.operations: list[Op] = []
        self.counts: dict[OpType, int] = {"invoke": 0, "ok": 0, "fail": 0, "info": 0}
        self._view = view
        self._recorder = recorder
        self._sha = sha256()
        self._unhashed: list[Any] = []
        self._hearers = self._who_hears()

    def node(self, name: str, incarnation: int, reported: list[Event]) -> None:
        """The events of one step of one incarnation."""
        self._unhashed += reported  # as in `_write`: this is called with every step of every node
        if len(self._unhashed) >= HASHED_AT_ONCE:
            self._hash()
        if self._recorder is not None:
            self._recorder.write((name, incarnation), _encode_lines(reported), len(reported))
        self.judge.observe_all(reported)
        hearers = self._hearers
        for event in reported:
            if (kind := type(event)) in hearers:
                for hear in hearers[kind]:
                    hear(event)

    def harness(self, event: HarnessEvent) -> None:
        """An event of the harness itself."""
        self._write(HARNESS_STREAM, [event])
        self.harness_events.append(event)
        self.judge.observe(event)

    def operation(self, op: Op) -> None:
        """A client invoked an operation, or saw its end."""
        self._write(HISTORY_STREAM, [op])
        self.operations.append(op)
        self.counts[op.type] += 1
        self.judge.observe_op(op)

    def digest(self) -> str:
        """The SHA-256 of everything so far, hexadecimal."""
        self._hash()
        return self._sha.hexdigest()

    def _write(self, stream: Stream, items: list[Any]) -> None:
        self._unhashed += items
        if len(self._unhashed) >= HASHED_AT_ONCE:
            self._hash()
        if self._recorder is not None:
            self._recorder.write(stream, _encode_lines(items), len(items))

    def _hash(self) -> None:
        self._sha.update(_encode_lines(self._unhashed))
        self.tally.count(self._unhashed)
        self._unhashed.clear()

    def _who_hears(self) -> dict[type[Event], list[Callable[[Any], None]]]:
        """For each type of event, the handlers that get it."""
        hearers: dict[type[Event], list[Callable[[Any], None]]] = {}
        for handlers in (self.tally.handlers, self._view.handlers):
            for kind, handler in handlers.items():
                hearers.setdefault(kind, []).append(handler)
        return hearers
