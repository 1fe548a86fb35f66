"""Converts a trace that an earlier version recorded to the wording of this version.

The event of a fault, and so the trace, describes the fault's effect as text. A version with another wording still makes
the same run. So the recorded trace is converted here before it is compared.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from raft_chaos.invariants import events
from raft_chaos.invariants.events import HARNESS
from raft_chaos.invariants.rundir import TraceItem

EARLIER, NOW = b" hears not ", b" does not hear "
"""Of a partition: "n1 hears not n2"."""


def in_present_words(trace: Iterable[TraceItem]) -> Iterator[TraceItem]:
    """The same lines, with the harness's earlier wording replaced by the current one."""
    for item in trace:
        if item.stream == HARNESS and EARLIER in item.line:
            line = item.line.replace(EARLIER, NOW)
            yield TraceItem(item.stream, events.decode(line), line)
        else:
            yield item
