"""The possible values of a fault's fields, as data, so that a property-based test can draw faults and shrink them.

This module draws nothing. `chaos.testing.strategies` turns a domain into a strategy of hypothesis, which is optional.
Values shrink towards the first choice, the number nearest to zero, and the shortest list.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Any, TypeAlias

import msgspec

MS = 1_000


class OneOf(msgspec.Struct, frozen=True):
    """Any of these values."""

    values: Sequence[Any]


class Whole(msgspec.Struct, frozen=True):
    """An integer from `least` to `most`, in steps of `step` from `least`."""

    least: int
    most: int
    step: int = 1


class Several(msgspec.Struct, frozen=True):
    """A list of `least` to `most` values, no two of which have the same `key`."""

    of: Domain
    least: int
    most: int
    key: Callable[[Any], Any] = lambda value: value


class Drawn(msgspec.Struct, frozen=True):
    """The function's result for a generator of random numbers."""

    make: Callable[[Random], Any]


class Built(msgspec.Struct, frozen=True):
    """The function's result for one value of each part."""

    make: Callable[..., Any]
    parts: tuple[Domain, ...]


class Chosen(msgspec.Struct, frozen=True):
    """A value of a domain that the function makes from a value of another domain."""

    of: Domain
    then: Callable[[Any], Domain]


Domain: TypeAlias = OneOf | Whole | Several | Drawn | Built | Chosen


def built(make: Callable[..., Any], *parts: Domain) -> Built:
    return Built(make, parts)


def range_us(most_us: int) -> Built:
    """(least, most) in µs, in whole ms."""
    return built(lambda a, b: (min(a, b), max(a, b)), Whole(0, most_us, MS), Whole(0, most_us, MS))


def tenths() -> Built:
    """A probability in steps of a tenth."""
    return built(lambda tenth: tenth / 10, Whole(0, 10))


def some_of(names: Sequence[str], most: int) -> Several:
    """One to `most` of the names, each only once."""
    return Several(OneOf(names), 1, most)
