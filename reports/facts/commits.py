"""The commit index of each node over time, as points of a line: bounded, however long the run is."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

import msgspec

from raft_chaos.invariants.events import AnyEvent, CommitAdvanced

MOST_POINTS = 250
"""The most points of one node's line."""


class Commit(msgspec.Struct, frozen=True, kw_only=True):
    """`index` was the node's commit index from `t_us` on. Each incarnation has a line of its own."""

    node: str
    inc: int
    t_us: int
    index: int


def commits(streams: Sequence[Sequence[AnyEvent]], end_us: int, exact_us: Sequence[int] = ()) -> list[Commit]:
    """Of the points of a node in one short stretch of time only the last is kept; also the last ones up to each of the
    times `exact_us`, which ascend."""
    step_us = max(1, end_us // MOST_POINTS)
    kept: list[Commit] = []
    for stream in streams:
        last: dict[tuple[int, int, int], Commit] = {}
        for event in stream:
            if isinstance(event, CommitAdvanced):
                point = Commit(node=event.node, inc=event.inc, t_us=event.t_us, index=event.index)
                last[point.inc, point.t_us // step_us, bisect_left(exact_us, point.t_us)] = point
        kept += last.values()
    return kept
