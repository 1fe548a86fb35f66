"""Asking again and again, since what a cluster does takes time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

PATIENCE_S = 15.0
POLL_S = 0.05

Found = TypeVar("Found")


async def eventually(found: Callable[[], Awaitable[Found | None]], patience_s: float = PATIENCE_S) -> Found | None:
    """The first value that is not None; None after `patience_s`."""
    deadline = time.monotonic() + patience_s
    while (value := await found()) is None and time.monotonic() < deadline:
        await asyncio.sleep(POLL_S)
    return value
