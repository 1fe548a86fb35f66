"""Tasks in virtual time: what happens to coroutines when one of several raises as it begins."""

from __future__ import annotations

import inspect

import pytest

from raft_chaos.chaos.run.sim.scheduler import Scheduler
from raft_chaos.chaos.run.sim.tasks import VirtualTasks


async def one() -> int:
    return 1


async def raises() -> int:
    raise LookupError("nothing here")


def test_coroutines_that_an_error_keeps_from_beginning_are_closed() -> None:
    tasks = VirtualTasks(Scheduler())
    coroutines = [one(), raises(), one()]

    async def main() -> None:
        await tasks.together(coroutines)

    with pytest.raises(LookupError, match="nothing here"):
        tasks.spawn(main(), "all of them")
    assert [inspect.getcoroutinestate(coroutine) for coroutine in coroutines] == [inspect.CORO_CLOSED] * 3
