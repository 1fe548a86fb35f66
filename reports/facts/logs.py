"""The logs of the nodes over time, as runs of entries of one term: bounded, however long the run is."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

import msgspec

from raft_chaos.invariants.events import AnyEvent, EntryAppended, LogTruncated, SnapshotInstalled, Started

MOST_STATES = 200
"""About the most states of one node."""
MOST_TERMS = 12
"""Of a log, its last entries are kept: those of so many terms."""


class LogState(msgspec.Struct, frozen=True, kw_only=True):
    """A node's log from `t_us` on: its last index, and the first index and the term of each run of entries."""

    node: str
    t_us: int
    last: int
    terms: list[tuple[int, int]]


def logs(streams: Sequence[Sequence[AnyEvent]], end_us: int, exact_us: Sequence[int]) -> list[LogState]:
    """Of the states of a node in one short stretch of time only the last is kept; also the last ones up to each of the
    times `exact_us`, which ascend."""
    step_us = max(1, end_us // MOST_STATES)
    return [state for stream in streams for state in _states(stream, step_us, exact_us)]


def _states(stream: Sequence[AnyEvent], step_us: int, exact_us: Sequence[int]) -> list[LogState]:
    kept: list[LogState] = []
    terms: list[tuple[int, int]] = []
    last = recovered = changed_us = 0
    stretch = (-1, -1)
    changed = False
    for event in stream:
        if not isinstance(event, EntryAppended | LogTruncated | SnapshotInstalled | Started):
            continue
        now = (event.t_us // step_us, bisect_left(exact_us, event.t_us))
        if changed and now != stretch:
            kept.append(_state(event.node, changed_us, last, terms))
            changed = False
        stretch = now
        if isinstance(event, Started):
            # It reports its recovered entries again; until then its log is as long as it says.
            terms = [(event.base_index, event.base_term)] if event.base_index else []
            last, recovered = event.base_index, event.last_index
        elif isinstance(event, SnapshotInstalled):
            if event.index > last:
                terms, last = [(event.index, event.term)], event.index
        elif isinstance(event, LogTruncated):
            terms, last = [run for run in terms if run[0] < event.from_index], event.from_index - 1
        else:
            if not terms or terms[-1][1] != event.term:
                terms.append((event.index, event.term))
            last = event.index
        changed = changed or last >= recovered
        changed_us = event.t_us
    return [*kept, _state(stream[0].node, changed_us, last, terms)] if changed else kept


def _state(node: str, t_us: int, last: int, terms: Sequence[tuple[int, int]]) -> LogState:
    return LogState(node=node, t_us=t_us, last=last, terms=list(terms[-MOST_TERMS:]))
