"""What a shell offers for the value of an option or an argument, when the user asks it to complete one."""

from __future__ import annotations

from collections.abc import Callable, Iterable

Complete = Callable[[str], list[str]]
Names = Callable[[], Iterable[str]]
"""A function, since the names are looked up only when a shell asks."""


def among(names: Names) -> Complete:
    """One of the names."""

    def complete(incomplete: str) -> list[str]:
        return [name for name in names() if name.startswith(incomplete)]

    return complete


def some_of(names: Names) -> Complete:
    """Several of the names, with commas: the last one is completed."""

    def complete(incomplete: str) -> list[str]:
        before, comma, last = incomplete.rpartition(",")
        given = before.split(",")
        return [f"{before}{comma}{name}" for name in names() if name.startswith(last) and name not in given]

    return complete
