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
    """Fails if all of these numbers are present."""
    return items if wanted <= set(items) else None


def erratic(seed: int, items: Items) -> Items | None:
    """Fails erratically: it depends on the missing numbers as much as on the present ones."""
    return items if crc32(repr((seed, items)).encode()) % 4 == 0 else None


def chained(wanted: frozenset[int], items: Items) -> Items | None:
    """As `needs`, but an item becomes useless, and is removed too, if its half is removed."""
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
    """Records its process id, and never returns."""
    pid_file.with_suffix(".new").write_text(str(os.getpid()))
    pid_file.with_suffix(".new").rename(pid_file)
    while True:
        time.sleep(0.01)


def dies(items: Items) -> Items | None:
    """Kills its process, as the kernel does when memory is short."""
    os.kill(os.getpid(), signal.SIGKILL)
    return None


def raises(items: Items) -> Items | None:
    raise LookupError(f"{len(items)} items")
