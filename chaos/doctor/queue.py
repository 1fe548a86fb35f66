"""A target's queue: what goes in comes out, and an empty queue is told apart from an element."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from dataclasses import replace

from raft_chaos.chaos.doctor.bench import QUEUE, Bench
from raft_chaos.chaos.doctor.finding import CannotGoOnError, Finding, ended

AT_FIRST, MOST = 100, 10_000
"""More elements than are inside: after the first checks, and after all."""

NOTHING = "nothing came out"


async def queue(bench: Bench, patience_s: float) -> AsyncIterator[Finding]:
    """Checks enqueue and dequeue. Raises CannotGoOnError if one of them is wrong: nothing else can be checked then."""
    deadline = time.monotonic() + patience_s
    while (put := await bench.perform("enqueue", QUEUE, "first")).type != "ok":
        if time.monotonic() >= deadline:
            advice = "look at the request of enqueue, at its `ok`, and at what the nodes print"
            raise CannotGoOnError(Finding("enqueue", "wrong", f"it ended as {ended(put)}", advice, bench.heard()))
    came_out, last = await emptied(bench, AT_FIRST)
    for finding in (_comes_out(came_out, last), _empty(last)):
        if finding.outcome == "wrong":
            raise CannotGoOnError(replace(finding, answer=bench.heard()))
        yield finding


async def emptied(bench: Bench, most: int = MOST) -> tuple[list[object], str]:
    """Dequeues until nothing comes out, `most` times: (what came out, how the last dequeue ended)."""
    came_out: list[object] = []
    for _ in range(most):
        took = await bench.perform("dequeue", QUEUE)
        if took.type != "ok":
            return came_out, f"it ended as {ended(took)}"
        if took.value is None:
            return came_out, NOTHING
        came_out.append(took.value)
    return came_out, f"{came_out[-1]!r} came out"


def _comes_out(came_out: list[object], last: str) -> Finding:
    """An enqueue of unknown outcome, before the cluster served, may have put the element in more than once."""
    what = "enqueue, then dequeue"
    if came_out and set(came_out) == {"first"}:
        return Finding(what, "ok", "'first' came out")
    seen = f"{came_out[0]!r} came out, expected 'first'" if came_out else last
    return Finding(what, "wrong", seen, "look at the request of dequeue, at its `ok` and at `value`")


def _empty(last: str) -> Finding:
    what = "dequeue of an empty queue"
    if last == NOTHING:
        return Finding(what, "ok", last)
    return Finding(what, "wrong", last, "`value` must lead to nothing or to null then, or `empty` must hold")
