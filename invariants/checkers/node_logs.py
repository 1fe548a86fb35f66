"""The log that each node has reported: entry i is at position i - 1, as the event that appended it.

`Judge` updates this view after the checkers have observed an event, so they see the log as it was before that event.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TypeAlias

from raft_chaos.invariants.checkers.base import Handlers
from raft_chaos.invariants.events import EntryAppended, LogTruncated, Started

ReportedLog: TypeAlias = list[EntryAppended]


class NodeLogs:
    """The log that each node reported in its current incarnation. Empty until a node reports something."""

    def __init__(self) -> None:
        self.of: defaultdict[str, ReportedLog] = defaultdict(list)

    def handlers(self) -> Handlers:
        return {Started: self._on_started, EntryAppended: self._on_appended, LogTruncated: self._on_truncated}

    def _on_started(self, event: Started) -> None:
        # A new list: a checker may still hold the log of the earlier incarnation as evidence.
        self.of[event.node] = []

    def _on_appended(self, event: EntryAppended) -> None:
        log = self.of[event.node]
        beyond = event.index - len(log) - 1
        if beyond == 0:
            log.append(event)
        elif beyond < 0:
            # The node overwrote entries without announcing it (Log Matching reports this). Its new log counts.
            del log[max(event.index - 1, 0) :]
            log.append(event)
        # An entry behind a gap is not kept. Log Matching reports it, and each entry that follows.

    def _on_truncated(self, event: LogTruncated) -> None:
        del self.of[event.node][max(event.from_index - 1, 0) :]


def first_difference(a: ReportedLog, b: ReportedLog, last: int) -> int:
    """The lowest index at which `a` and `b` differ. Both must hold the index `last` and differ there.

    Digests are chained, so the logs agree up to some index and differ from there on. A binary search finds it.
    """
    agree, differ = 0, last
    while differ - agree > 1:
        middle = (agree + differ) // 2
        if a[middle - 1].digest == b[middle - 1].digest:
            agree = middle
        else:
            differ = middle
    return differ
