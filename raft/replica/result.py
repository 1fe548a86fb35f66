"""The answer to a command or a read, and the place of the entry that decided it."""

from __future__ import annotations

from typing import TypeAlias

import msgspec

Place: TypeAlias = tuple[int, int]
"""The index and the term of a log entry."""

NOWHERE: Place = (0, 0)


class Result(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """The answer. `value`: what get read (None: absent), or what a failed cas found. `error`: why it was not done."""

    ok: bool
    value: str | list[str] | None = None
    error: str | None = None
