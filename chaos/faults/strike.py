"""One fault in a run: the interface between a kind of fault and the run that it strikes.

nodes = ...
at.begin(nodes)                         before anything is done: from now on the fault touches these nodes
changed = at.lay(PAUSED, ...)           the fault is in force beside others; apply what that changes
at.injected("pause n1")                 it is in force, and the fault log reports it
await at.hold(at.duration_us)           until it is over, or until the safety phase ends
changed = at.lift(PAUSED)               undo what the other faults in force do not need
at.healed(Effect(...))                  it is over, and this was its effect
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from raft_chaos.chaos.faults.names import Roles

Capability = TypeVar("Capability")
Subject = TypeVar("Subject")
Value = TypeVar("Value")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Effect:
    """The observed effect of a fault, in words; `effective` says whether it was complete.

    `excuse` says what was missing, if the world knows that the fault had nothing to act on.
    """

    effective: bool
    effect: str
    excuse: str = ""


@dataclass(frozen=True, eq=False)
class Layer(Generic[Value]):
    """A condition that several faults may put on one node or link at a time.

    `merged` makes one value of the faults' values, in the order in which the faults started; of none, the value without
    faults.
    """

    name: str
    merged: Callable[[Sequence[Value]], Value]


class Signal(Protocol):
    """Something that happens once."""

    @property
    def is_set(self) -> bool: ...
    def set(self) -> None: ...


class Strike(Protocol):
    """A fault at its moment. `leader` and `roles` are those at that time, as far as they are known."""

    @property
    def id(self) -> str: ...
    @property
    def duration_us(self) -> int: ...
    @property
    def nodes(self) -> list[str]: ...
    @property
    def leader(self) -> str | None: ...
    @property
    def roles(self) -> Roles: ...
    @property
    def voters(self) -> list[str]:
        """The nodes that have a vote now, in the order of `nodes` (§6)."""
        ...

    @property
    def outsiders(self) -> list[str]:
        """The nodes that are no members of the cluster now: nothing is sent to them, and they send nothing."""
        ...

    @property
    def damaged(self) -> list[str]:
        """The nodes that a fault has damaged for good."""
        ...

    @property
    def now_us(self) -> int: ...

    @property
    def is_over(self) -> bool:
        """Whether the safety phase has ended: no new fault may start then."""
        ...

    def can(self, capability: type[Capability]) -> Capability:
        """The world, as this capability. Raises NotPossibleError if the world does not have it."""
        ...

    def offered(self, capability: type[Capability]) -> Capability | None:
        """The world, as this capability; None if the world does not have it."""
        ...

    # ---- what is in force ------------------------------------------------------------------------------------------

    def lay(self, layer: Layer[Value], values: Mapping[Subject, Value]) -> dict[Subject, Value]:
        """Puts the fault in force. Returns the values that this changes, each merged of all faults on its subject."""
        ...

    def lift(self, layer: Layer[Value]) -> dict[Any, Value]:
        """Removes the fault from the layer. Returns the merged values that this changes."""
        ...

    def merged(self, layer: Layer[Value], subject: Any) -> Value:
        """The merged value on that subject now."""
        ...

    # ---- what is reported ------------------------------------------------------------------------------------------

    def begin(self, nodes: Sequence[str]) -> None: ...
    def injected(
        self, detail: str, targets: Sequence[str] | None = None, links: Sequence[tuple[str, str]] = ()
    ) -> None:
        """Reports that the fault is in force. `targets` are the nodes that it hit, if not all those of `begin`; `links`
        are the directed links that it cuts or holds, if it hits these alone."""
        ...

    def ended(self, nodes: Sequence[str]) -> None:
        """Reports that the fault has damaged these nodes for good: they owe nothing from now on."""
        ...

    def healed(self, effect: Effect) -> None: ...
    def change_answered(self, node: str, index: int) -> None:
        """Reports that the node said that a change of the members is done, with its entry at this index."""
        ...

    # ---- time ------------------------------------------------------------------------------------------------------

    async def hold(self, for_us: int) -> None:
        """Waits `for_us`, or until the safety phase ends."""
        ...

    async def wait(self, for_us: int) -> None:
        """Waits `for_us`, also when the safety phase has ended."""
        ...

    def signal(self) -> Signal: ...
    async def until(self, signal: Signal, within_us: int) -> None:
        """Waits until the signal is set, at most `within_us`, or until the safety phase ends."""
        ...

    async def together(self, coroutines: Sequence[Coroutine[Any, Any, Result]]) -> list[Result]:
        """Runs the coroutines at the same time; returns their results once all have ended."""
        ...


class NotPossibleError(Exception):
    """The world does not have this kind of fault."""
