"""Oracles for tests of the search: whether a tuple of numbers still "fails". Worker processes can import them."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import TypeAlias
from zlib import crc32

Items: TypeAlias = tuple[int, ...]


def needs(wanted: frozenset[int], items: Items) -> Items | None:
    """Fails while all of these are there."""
    return items if wanted <= set(items) else None


def erratic(seed: int, items: Items) -> Items | None:
    """Fails now and then: what is left out matters as much as what is there."""
    return items if crc32(repr((seed, items)).encode()) % 4 == 0 else None


def chained(wanted: frozenset[int], items: Items) -> Items | None:
    """As `needs`, but an item has lost its meaning, and goes, where its half is gone."""
    kept: list[int] = []
    for item in items:
        if item // 2 in kept or item // 2 == 0:
            kept.append(item)
    return needs(wanted, tuple(kept))


def unevenly_slow(wanted: frozenset[int], items: Items) -> Items | None:
    """As `needs`; some take far longer than others, so that they do not end in their order."""
    for _ in range(crc32(repr(items).encode()) % 7 * 20_000):
        pass
    return needs(wanted, items)


def hangs(pid_file: Path, items: Items) -> Items | None:
    """Says which process it is in, and never returns."""
    pid_file.with_suffix(".new").write_text(str(os.getpid()))
    pid_file.with_suffix(".new").rename(pid_file)
    while True:
        time.sleep(0.01)


def dies(items: Items) -> Items | None:
    """Takes its process along, as the kernel does where memory is short."""
    os.kill(os.getpid(), signal.SIGKILL)
    return None


def raises(items: Items) -> Items | None:
    raise LookupError(f"{len(items)} items")
