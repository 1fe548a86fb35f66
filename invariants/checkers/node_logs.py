"""The log that each node has reported: entry i is at position i - 1, as the event that appended it.

`Judge` updates this view after the checkers have seen an event, so each of them meets the log as it was before.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TypeAlias

from raft_chaos.invariants.checkers.base import Handlers
from raft_chaos.invariants.events import EntryAppended, LogTruncated, Started

ReportedLog: TypeAlias = list[EntryAppended]


class NodeLogs:
    """Each node's reported log, of its current incarnation. Empty as long as no node reported anything."""

    def __init__(self) -> None:
        self.of: defaultdict[str, ReportedLog] = defaultdict(list)

    def handlers(self) -> Handlers:
        return {Started: self._on_started, EntryAppended: self._on_appended, LogTruncated: self._on_truncated}

    def _on_started(self, event: Started) -> None:
        # A new list: the log of the earlier incarnation may still be somebody's evidence.
        self.of[event.node] = []

    def _on_appended(self, event: EntryAppended) -> None:
        log = self.of[event.node]
        beyond = event.index - len(log) - 1
        if beyond == 0:
            log.append(event)
        elif beyond < 0:
            # Overwritten without a word (Log Matching says so); what the node has now is what counts.
            del log[max(event.index - 1, 0) :]
            log.append(event)
        # An entry behind a gap has no place here. Log Matching says so, and again for all that follow.

    def _on_truncated(self, event: LogTruncated) -> None:
        del self.of[event.node][max(event.from_index - 1, 0) :]


def first_difference(a: ReportedLog, b: ReportedLog, last: int) -> int:
    """The lowest index at which `a` and `b` differ, given that they do at `last`, which both have.

    Digests are chained, so they agree up to some index and differ from there on: a binary search finds it.
    """
    agree, differ = 0, last
    while differ - agree > 1:
        middle = (agree + differ) // 2
        if a[middle - 1].digest == b[middle - 1].digest:
            agree = middle
        else:
            differ = middle
    return differ
