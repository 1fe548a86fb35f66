"""Hashable representations of values, which are equal exactly if the values are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable
from typing import Any


def frozen(value: Any) -> Hashable:
    """The value itself if it is hashable; for a list, dict or set a tuple that no value of a history equals.

    Raises TypeError for other values that are not hashable.
    """
    try:
        hash(value)
    except TypeError:
        pass
    else:
        return value  # type: ignore[no-any-return]
    if isinstance(value, list):
        return (list, *map(frozen, value))
    if isinstance(value, dict):
        return (dict, frozenset((frozen(key), frozen(item)) for key, item in value.items()))
    if isinstance(value, set):
        return (set, frozenset(value))
    if isinstance(value, tuple):
        return tuple(map(frozen, value))
    raise TypeError(f"a value that can be neither hashed nor taken apart: {value!r}")


class Frozen(defaultdict[Hashable, int]):
    """Numbers of values of which some cannot be hashed."""

    def __getitem__(self, value: Any) -> int:
        return super().__getitem__(frozen(value))
