"""Time and concurrency as a run needs them in any world: what `nemesis`, `phases` and `clients` are written over.

In virtual time a task goes on inside the scheduler's step that lets it (`sim.tasks`); in real time tasks are asyncio's
(`live.tasks`). Times are µs since the run began, as in a schedule.
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
        """It never goes on. The caller must know that it waits, and that nothing of its work is half done."""
        ...

    async def ended(self) -> None: ...


class Tasks(Protocol):
    """The clock of a run and what goes on in it."""

    @property
    def now_us(self) -> int: ...
    def sleep_until(self, at_us: int) -> Awaitable[None]: ...
    def pass_until(self, at_us: int) -> Awaitable[None]:
        """Waits until all that is due by then, or now if that is past, has happened."""
        ...

    def signal(self) -> Signal: ...
    async def first(self, *signals: Any, within_us: int | None = None) -> None:
        """Waits until one of the signals is set, at most so long."""
        ...

    def spawn(self, coroutine: Coroutine[Any, Any, None], name: str) -> Task:
        """An error in it ends the run."""
        ...

    async def together(self, coroutines: Sequence[Coroutine[Any, Any, Result]]) -> list[Result]:
        """Their results, in the order in which they are given."""
        ...
