"""The trace: everything that happens in a run, in the one order in which it happens.

Each event and each client operation is a JSON line, the same bytes as in the run directory's files; the trace's digest
is the SHA-256 of all of them. Two runs are the same run exactly if their digests are equal. What passes through here
also goes to the judge, the tally and the cluster's view, and, where the run is recorded, to its files.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import msgspec

from chaos.cluster_view import ClusterView
from chaos.sim.recorder import Recorder
from chaos.tally import Tally
from invariants.events import AnyEvent, Event, HarnessEvent
from invariants.history import Op, OpType
from invariants.judge import Judge

HASHED_AT_ONCE = 1 << 16

_encode_into = msgspec.json.Encoder().encode_into


class Trace:
    """Takes events in the order of the run. `harness` and `operations` are kept; the nodes' events are only counted."""

    def __init__(self, judge: Judge, tally: Tally, view: ClusterView, recorder: Recorder | None) -> None:
        self.judge = judge
        self.tally = tally
        self.harness_events: list[AnyEvent] = []
        self.operations: list[Op] = []
        self.counts: dict[OpType, int] = {"invoke": 0, "ok": 0, "fail": 0, "info": 0}
        self._view = view
        self._recorder = recorder
        self._sha = sha256()
        self._buffer = bytearray()

    def node(self, name: str, incarnation: int, reported: list[Event]) -> None:
        """What one step of one incarnation reported."""
        self.write(f"{name}/{incarnation}", reported)
        judge, tally, view = self.judge.observe, self.tally.observe, self._view.observe
        for event in reported:
            judge(event)
            tally(event)
            view(event)  # type: ignore[arg-type]

    def harness(self, event: HarnessEvent) -> None:
        """An event of the harness itself."""
        self.write("harness", [event])
        self.harness_events.append(event)
        self.judge.observe(event)

    def operation(self, op: Op) -> None:
        """A client invoked an operation, or saw its end."""
        self.write("history", [op])
        self.operations.append(op)
        self.counts[op.type] += 1
        self.judge.observe_op(op)

    def write(self, stream: str, items: list[Any]) -> None:
        buffer = self._buffer
        began = len(buffer)
        for item in items:
            _encode_into(item, buffer, -1)
            buffer += b"\n"
        if self._recorder is not None:
            self._recorder.write(stream, bytes(buffer[began:]), len(items))
        if len(buffer) > HASHED_AT_ONCE:
            self._sha.update(buffer)
            buffer.clear()

    def digest(self) -> str:
        """The SHA-256 of everything so far, hexadecimal."""
        self._sha.update(self._buffer)
        self._buffer.clear()
        return self._sha.hexdigest()
