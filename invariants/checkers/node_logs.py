"""The log that each node has reported: entry i is at position i - 1, as the event that appended it.

A snapshot of the node itself changes nothing here: the node has reported the entries that it replaces. Of those that
another node's snapshot replaces only the last is known, as the event of the installation; the others are None.

`Judge` updates this view after the checkers have observed an event, so they see the log as it was before that event.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TypeAlias

from raft_chaos.invariants.checkers.base import Handlers
from raft_chaos.invariants.events import EntryAppended, LogTruncated, SnapshotInstalled, Started

Held: TypeAlias = EntryAppended | SnapshotInstalled
"""An entry, or the last one that a snapshot replaces: both have an index, a term, and the digest of the log up to
it."""
ReportedLog: TypeAlias = list[Held | None]


class NodeLogs:
    """The log that each node reported in its current incarnation. Empty until a node reports something."""

    def __init__(self) -> None:
        self.of: defaultdict[str, ReportedLog] = defaultdict(list)

    def handlers(self) -> Handlers:
        return {
            Started: self._on_started,
            EntryAppended: self._on_appended,
            LogTruncated: self._on_truncated,
            SnapshotInstalled: self._on_installed,
        }

    def _on_started(self, event: Started) -> None:
        # A new list: a checker may still hold the log of the earlier incarnation as evidence.
        base = base_of(event)
        self.of[event.node] = up_to(base, self.of[event.node]) if base is not None else []

    def _on_installed(self, event: SnapshotInstalled) -> None:
        log = self.of[event.node]
        if not holds(log, event):
            self.of[event.node] = up_to(event, [])

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


def base_of(event: Started) -> SnapshotInstalled | None:
    """The base with which the node starts, as if it installed that snapshot now; None without one."""
    if not event.base_index:
        return None
    return SnapshotInstalled(
        node=event.node,
        inc=event.inc,
        t_us=event.t_us,
        index=event.base_index,
        term=event.base_term,
        digest=event.base_digest,
        via="",
    )


def holds(log: ReportedLog, base: Held) -> bool:
    """Whether the log holds this entry, and so all before it."""
    held = log[base.index - 1] if 1 <= base.index <= len(log) else None
    return held is not None and held.digest == base.digest


def up_to(base: Held, log: ReportedLog) -> ReportedLog:
    """A new log that ends at `base`: that part of `log` if it holds that entry; otherwise only the base is known."""
    return log[: base.index] if holds(log, base) else [*[None] * (base.index - 1), base]


def first_difference(a: ReportedLog, b: ReportedLog, last: int) -> int:
    """The lowest index at which `a` and `b` are known to differ. Both must hold the index `last` and differ there.

    Digests are chained, so the logs agree up to some index and differ from there on. A binary search finds it.
    """
    agree, differ = 0, last
    while differ - agree > 1:
        middle = (agree + differ) // 2
        one, other = a[middle - 1], b[middle - 1]
        if one is None or other is None or one.digest == other.digest:
            agree = middle  # what is not known counts as equal: below it nothing can be shown
        else:
            differ = middle
    return differ
