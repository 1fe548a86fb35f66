"""Values as they are compared: a hashable stand-in for each, equal exactly when the values are."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any


def frozen(value: Any) -> Hashable:
    """The value itself if it can be hashed; a list, dict or set as a tuple that no value of a history equals."""
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
