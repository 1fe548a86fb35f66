"""What a door is: a place where bytes from outside come in, and what it may do with them.

A door takes any bytes. It may accept them or refuse them with its own error; anything else is a crash. Judging has one
more duty: a run of a correct cluster whose files were damaged is never violated.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Literal, Protocol

Entered = Literal["accepted", "refused"]
Damage = Callable[[Random, bytes], bytes]


class WrongVerdictError(AssertionError):
    """A damaged run of a correct cluster was convicted."""


class Door(Protocol):
    """One door, open for the whole of a campaign."""

    name: str

    def samples(self) -> list[bytes]:
        """Valid inputs, each of which the door accepts."""
        ...

    def damages(self) -> list[Damage]:
        """The ways in which its inputs are damaged."""
        ...

    def enter(self, data: bytes) -> Entered:
        """Lets the bytes in. Raises anything but the door's own errors: that is a crash."""
        ...

    def close(self) -> None:
        """Ends what the door has started."""
        ...


@dataclass(frozen=True)
class FunctionDoor:
    """A door that is one function: it returns, or raises one of its declared errors."""

    name: str
    valid: Callable[[], list[bytes]]
    ways: tuple[Damage, ...]
    read: Callable[[bytes], object]
    errors: tuple[type[Exception], ...]

    def samples(self) -> list[bytes]:
        return self.valid()

    def damages(self) -> list[Damage]:
        return list(self.ways)

    def enter(self, data: bytes) -> Entered:
        try:
            self.read(data)
        except self.errors:
            return "refused"
        return "accepted"

    def close(self) -> None:
        pass
