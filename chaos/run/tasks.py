"""Time and concurrency in any world: `nemesis`, `phases` and `clients` use only these.

In virtual time a task continues inside the scheduler's step that wakes it (`sim.tasks`); in real time tasks are
asyncio's (`live.tasks`). Times are µs since the run began, as in a schedule.
"""

from __future__ import annotations

from collections.abc import Awaitable, Coroutine, Sequence
from typing import Any, Protocol, TypeVar

Result = TypeVar("Result")


class Signal(Protocol):
    """Something that happens once."""

    @property
    def is_set(self) -> bool: ...
    def set(self) -> None: ...


class Task(Protocol):
    """A coroutine that is under way."""

    def cancel(self) -> None:
        """Stops the task. The caller must know that the task waits, and that none of its work is half done."""
        ...

    async def ended(self) -> None: ...


class Tasks(Protocol):
    """The clock of a run, and its tasks."""

    @property
    def now_us(self) -> int: ...
    def sleep_until(self, at_us: int) -> Awaitable[None]: ...
    def pass_until(self, at_us: int) -> Awaitable[None]:
        """Waits until everything that is due by `at_us` (now, if that is past) has happened."""
        ...

    def signal(self) -> Signal: ...
    async def first(self, *signals: Any, within_us: int | None = None) -> None:
        """Waits until one of the signals is set, at most `within_us`."""
        ...

    def spawn(self, coroutine: Coroutine[Any, Any, None], name: str) -> Task:
        """Starts a task. An error in it ends the run."""
        ...

    async def together(self, coroutines: Sequence[Coroutine[Any, Any, Result]]) -> list[Result]:
        """Runs the coroutines at the same time; returns their results in the order of the coroutines."""
        ...
