"""One fault in a run: what a kind of fault sees of the run that it strikes, and what it tells of itself.

nodes = ...
at.begin(nodes)                         before anything is done: from now on the fault touches these nodes
changed = at.lay(PAUSED, ...)           the fault is in force beside others; what that changes is to be done
at.injected("pause n1")                 it is in force, and everybody is told
await at.hold(at.duration_us)           until it is over, or until the safety phase ends
changed = at.lift(PAUSED)               what the other faults in force leave to be undone
at.healed(Effect(...))                  it is over, and this was seen of it
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

Capability = TypeVar("Capability")
Subject = TypeVar("Subject")
Value = TypeVar("Value")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Effect:
    """What was seen of a fault: in words, and whether all that it was to do was done.

    `excuse` says what was missing, where a world knows that there was nothing for the fault to act on.
    """

    effective: bool
    effect: str
    excuse: str = ""


@dataclass(frozen=True, eq=False)
class Layer(Generic[Value]):
    """A condition that several faults may put on one node or link at a time.

    `merged` makes one value of theirs, in the order in which they set in; of none, the value without faults.
    """

    name: str
    merged: Callable[[Sequence[Value]], Value]


class Signal(Protocol):
    """Something that happens once."""

    @property
    def is_set(self) -> bool: ...
    def set(self) -> None: ...


class Strike(Protocol):
    """A fault at its moment. `leader` and `voter` are those of then, where they are known."""

    @property
    def id(self) -> str: ...
    @property
    def duration_us(self) -> int: ...
    @property
    def nodes(self) -> list[str]: ...
    @property
    def leader(self) -> str | None: ...
    @property
    def voter(self) -> str | None: ...

    @property
    def now_us(self) -> int: ...

    @property
    def is_over(self) -> bool:
        """Whether the safety phase has ended: then nothing new may break."""
        ...

    def can(self, capability: type[Capability]) -> Capability:
        """The world, as far as it has that capability. Raises NotPossibleError for one that has not."""
        ...

    def offered(self, capability: type[Capability]) -> Capability | None:
        """The same, or None."""
        ...

    # ---- what is in force ------------------------------------------------------------------------------------------

    def lay(self, layer: Layer[Value], values: Mapping[Subject, Value]) -> dict[Subject, Value]:
        """Puts the fault in force. Returns the merged values that changed: those of all faults in force on a
        subject."""
        ...

    def lift(self, layer: Layer[Value]) -> dict[Any, Value]:
        """Takes the fault out again. Returns the merged values that changed."""
        ...

    def merged(self, layer: Layer[Value], subject: Any) -> Value:
        """The merged value on that subject now."""
        ...

    # ---- what is told ----------------------------------------------------------------------------------------------

    def begin(self, nodes: Sequence[str]) -> None: ...
    def injected(self, detail: str, targets: Sequence[str] | None = None) -> None:
        """`targets` are the nodes that it really hit, if not all with which it began."""
        ...

    def healed(self, effect: Effect) -> None: ...

    # ---- time ------------------------------------------------------------------------------------------------------

    async def hold(self, for_us: int) -> None:
        """Waits so long, or until the safety phase ends."""
        ...

    def signal(self) -> Signal: ...
    async def until(self, signal: Signal, within_us: int) -> None:
        """Waits until it is set, at most so long, and until the safety phase ends."""
        ...

    async def together(self, coroutines: Sequence[Coroutine[Any, Any, Result]]) -> list[Result]:
        """Their results, once all have ended."""
        ...


class NotPossibleError(Exception):
    """A world cannot make its nodes suffer that kind of fault."""
