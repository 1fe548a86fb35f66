"""What the clients got, over time: each operation as a point, and rates, latencies and availability by slices of time.

Bounded for a run of any length. Slices become longer. Of very many points some are left out, never the slowest ones of
a slice; each has a `rank`, so that a picture of any part of the run can choose a fair selection of that part.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Sequence
from typing import Literal, TypeAlias

import msgspec

from raft_chaos.invariants.history import Op
from raft_chaos.reports.facts.operations import nearest_rank

End: TypeAlias = Literal["ok", "fail", "unknown"]

MOST_POINTS = 20_000
MOST_SLICES = 180
_EXTREMES = 4
"""How many of the slowest operations of each end a slice keeps for certain."""

_END: dict[str, End] = {"ok": "ok", "fail": "fail", "info": "unknown"}
_LENGTHS_US: list[int] = [step * 10**power for power in range(4, 12) for step in (1, 2, 5)]


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """One operation: when it was invoked, how long it took until it ended (or until the end of the run), and how.

    `rank` is 0 for one that every picture shows. The others are from 0 to 1, evenly spread over any part of the run.
    """

    t_us: int
    took_us: int
    end: End
    f: str
    key: str
    op: str
    rank: float


class Slice(msgspec.Struct, frozen=True, kw_only=True):
    """The operations that ended from `begin_us` to `end_us`, by their end; the latencies (µs) of those that were ok.

    `waited` counts these and the operations that waited all the time: with none of them served, it is an outage.
    """

    begin_us: int
    end_us: int
    ok: int
    fail: int
    unknown: int
    waited: int
    p50_us: int | None
    p99_us: int | None


class Service(msgspec.Struct, frozen=True, kw_only=True):
    """`unshown` counts the operations that have no point."""

    points: list[Point]
    slices: list[Slice]
    unshown: int


def service(history: Sequence[Op], end_us: int) -> Service:
    """What clients got in a run that lasted `end_us`."""
    points = _points(history, end_us)
    length_us = _slice_us(end_us)
    slices = _slices(points, length_us, end_us)
    ranked = _ranked(points, length_us)
    kept = sorted(heapq.nsmallest(MOST_POINTS, ranked, key=lambda point: point.rank), key=lambda point: point.t_us)
    return Service(points=kept, slices=slices, unshown=len(points) - len(kept))


def _points(history: Iterable[Op], end_us: int) -> list[Point]:
    """A point for each operation, in the order of invocations, without ranks."""
    invoked: dict[int, Op] = {}
    done: list[Point] = []
    for op in history:
        if op.type == "invoke":
            invoked[op.process] = op
        elif (begun := invoked.pop(op.process, None)) is not None:
            done.append(_point(begun, op.t_us, _END[op.type]))
    done += [_point(begun, max(end_us, begun.t_us), "unknown") for begun in invoked.values()]
    return sorted(done, key=lambda point: point.t_us)


def _point(begun: Op, until_us: int, end: End) -> Point:
    took_us = max(0, until_us - begun.t_us)
    return Point(t_us=begun.t_us, took_us=took_us, end=end, f=begun.f, key=begun.key, op=begun.op, rank=0.0)


def _slice_us(end_us: int) -> int:
    """The shortest round length with which there are not too many slices."""
    return next((length for length in _LENGTHS_US if length * MOST_SLICES >= end_us), _LENGTHS_US[-1])


def _slices(points: Sequence[Point], length_us: int, end_us: int) -> list[Slice]:
    number = max(1, math.ceil(end_us / length_us)) if points else 0
    number = min(number, MOST_SLICES)
    ended: list[list[Point]] = [[] for _ in range(number)]
    waiting = [0] * number
    for point in points:
        last = max(0, min((point.t_us + point.took_us) // length_us, number - 1))
        ended[last].append(point)
        for n in range(max(0, point.t_us // length_us + 1), last):
            waiting[n] += 1
    return [
        _slice(n * length_us, min((n + 1) * length_us, max(end_us, 1)), ended[n], waiting[n]) for n in range(number)
    ]


def _slice(begin_us: int, end_us: int, ended: Sequence[Point], waiting: int) -> Slice:
    latencies_us = sorted(point.took_us for point in ended if point.end == "ok")
    return Slice(
        begin_us=begin_us,
        end_us=end_us,
        ok=len(latencies_us),
        fail=sum(point.end == "fail" for point in ended),
        unknown=sum(point.end == "unknown" for point in ended),
        waited=len(ended) + waiting,
        p50_us=nearest_rank(latencies_us, 0.50),
        p99_us=nearest_rank(latencies_us, 0.99),
    )


def _ranked(points: Sequence[Point], length_us: int) -> list[Point]:
    """The points with their ranks. The slowest of each slice and end have rank 0."""
    slowest: dict[tuple[int, End], list[int]] = {}
    for number, point in enumerate(points):
        slowest.setdefault((point.t_us // length_us, point.end), []).append(number)
    first = {
        number
        for numbers in slowest.values()
        for number in heapq.nlargest(_EXTREMES, numbers, key=lambda number: points[number].took_us)
    }
    return [
        msgspec.structs.replace(point, rank=0.0 if number in first else _spread(number))
        for number, point in enumerate(points)
    ]


def _spread(number: int) -> float:
    """From 0 to 1; of neighbouring numbers, those below any limit are evenly spread (multiples of the golden ratio)."""
    return (number + 1) * 0.6180339887498949 % 1
