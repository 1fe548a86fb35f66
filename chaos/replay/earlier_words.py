"""The trace of a run that an earlier version recorded, in the words of this one.

What a fault did stands in its event as text, and so in the trace. A version that words it differently still makes the
same run. Before two traces are compared, the recorded one passes through here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from raft_chaos.invariants import events
from raft_chaos.invariants.events import HARNESS
from raft_chaos.invariants.rundir import TraceItem

EARLIER, NOW = b" hears not ", b" does not hear "
"""Of a partition: "n1 hears not n2"."""


def in_present_words(trace: Iterable[TraceItem]) -> Iterator[TraceItem]:
    """The same lines; those of the harness that are worded as before, as they are worded now."""
    for item in trace:
        if item.stream == HARNESS and EARLIER in item.line:
            line = item.line.replace(EARLIER, NOW)
            yield TraceItem(item.stream, events.decode(line), line)
        else:
            yield item
