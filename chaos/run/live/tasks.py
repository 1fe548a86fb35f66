"""Tasks in real time: asyncio tasks in one group, on the clock of the run."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

Result = TypeVar("Result")


class LiveSignal:
    """See `Signal`."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    @property
    def is_set(self) -> bool:
        return self._event.is_set()

    def set(self) -> None:
        self._event.set()

    async def wait(self) -> None:
        await self._event.wait()


class LiveTask:
    """See `Task`."""

    def __init__(self, task: asyncio.Task[None]) -> None:
        self._task = task

    def cancel(self) -> None:
        self._task.cancel()

    async def ended(self) -> None:
        await asyncio.wait({self._task})


class LiveTasks:
    """See `Tasks`. `now_us` gives µs since the run began; the group ends the run with the first error of a task."""

    def __init__(self, group: asyncio.TaskGroup, now_us: Callable[[], int]) -> None:
        self._group = group
        self._now_us = now_us

    @property
    def now_us(self) -> int:
        return self._now_us()

    async def sleep_until(self, at_us: int) -> None:
        await asyncio.sleep(max(0, at_us - self._now_us()) / 1e6)

    async def pass_until(self, at_us: int) -> None:
        await self.sleep_until(at_us)

    def signal(self) -> LiveSignal:
        return LiveSignal()

    async def first(self, *signals: LiveSignal, within_us: int | None = None) -> None:
        waits = {asyncio.ensure_future(signal.wait()) for signal in signals}
        try:
            timeout_s = None if within_us is None else within_us / 1e6
            await asyncio.wait(waits, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    def spawn(self, coroutine: Coroutine[Any, Any, None], name: str) -> LiveTask:
        return LiveTask(self._group.create_task(coroutine, name=name))

    async def together(self, coroutines: Sequence[Coroutine[Any, Any, Result]]) -> list[Result]:
        return list(await asyncio.gather(*coroutines))
