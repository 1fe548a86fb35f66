"""Waits for real processes: `eventually` polls a condition until a deadline, which only an error reaches."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

PATIENCE_S = 30.0
"""Only something that hangs reaches it."""

T = TypeVar("T")


def eventually(what: str, condition: Callable[[], T], patience_s: float = PATIENCE_S) -> T:
    """The first true value of `condition`."""
    deadline = time.monotonic() + patience_s
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {patience_s:g} s: {what}"
        time.sleep(0.01)
    return value
