"""Tasks in virtual time: coroutines that wait for the scheduler, or for each other, and for nothing real.

A task continues inside the step that wakes it: inside the scheduler's action, or inside the call that sets a signal. So
the scheduler's order is the order of everything in a run.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Generator, Sequence
from types import coroutine
from typing import Any, Generic, TypeAlias, TypeVar

from raft_chaos.chaos.run.sim.scheduler import Scheduler

Result = TypeVar("Result")
GoOn: TypeAlias = Callable[[object], None]
Subscribe: TypeAlias = Callable[[GoOn], None]
"""Registers the callback that continues a task. The callback ignores its argument."""


@coroutine
def wait(subscribe: Subscribe) -> Generator[Subscribe, None, None]:
    """The awaitable of all coroutines here: the task that runs the coroutine subscribes."""
    yield subscribe


class VirtualSignal:
    """See `Signal`. The waiting tasks continue within `set`, in the order in which they began to wait."""

    def __init__(self) -> None:
        self.is_set = False
        self.waiting: dict[object, GoOn] = {}

    def set(self) -> None:
        self.is_set = True
        while self.waiting:
            self.waiting.pop(next(iter(self.waiting)))(None)


class VirtualTask(Generic[Result]):
    """One running coroutine. It begins at once."""

    result: Result

    def __init__(self, coroutine: Coroutine[Any, Any, Result]) -> None:
        self.done = False
        self._coroutine = coroutine
        self._then: list[GoOn] = []
        self._go_on(None)

    def _go_on(self, _: object) -> None:
        if self.done:
            return  # cancelled while it waited
        try:
            subscribe = self._coroutine.send(None)
        except StopIteration as end:
            self.result, self.done = end.value, True
            for go_on in self._then:
                go_on(None)
        else:
            subscribe(self._go_on)

    def cancel(self) -> None:
        if not self.done:
            self.done = True
            self._coroutine.close()

    async def ended(self) -> None:
        if not self.done:
            await wait(self._then.append)


class VirtualTasks:
    """See `Tasks`."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler

    @property
    def now_us(self) -> int:
        return self._scheduler.now_us

    def sleep_until(self, at_us: int) -> Awaitable[None]:
        return wait(lambda go_on: self._scheduler.at(at_us, go_on))

    def pass_until(self, at_us: int) -> Awaitable[None]:
        return wait(lambda go_on: self._scheduler.at_last(at_us, go_on))

    def signal(self) -> VirtualSignal:
        return VirtualSignal()

    async def first(self, *signals: VirtualSignal, within_us: int | None = None) -> None:
        if any(signal.is_set for signal in signals):
            return

        def subscribe(go_on: GoOn) -> None:
            me = object()

            def once(_: object = None) -> None:
                if not over:
                    over.append(True)
                    for signal in signals:
                        signal.waiting.pop(me, None)
                    go_on(None)

            over: list[bool] = []
            for signal in signals:
                signal.waiting[me] = once
            if within_us is not None:
                self._scheduler.after(within_us, once)

        await wait(subscribe)

    def spawn(self, coroutine: Coroutine[Any, Any, None], name: str) -> VirtualTask[None]:
        return VirtualTask(coroutine)

    async def together(self, coroutines: Sequence[Coroutine[Any, Any, Result]]) -> list[Result]:
        tasks: list[VirtualTask[Result]] = []
        try:
            tasks += (VirtualTask(coroutine) for coroutine in coroutines)  # each begins at once, and may raise
        finally:
            for never_begun in coroutines[len(tasks) :]:
                never_begun.close()
        for task in tasks:
            await task.ended()
        return [task.result for task in tasks]
