"""What can happen to names in a folder: a file is made, renamed or removed.

And what outlives a process, but not a power failure: the `PageCache` has such changes, and the bytes of files.
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec


class Made(msgspec.Struct, frozen=True, array_like=True, tag="made"):
    """`content` is what was synced of it so far."""

    name: str
    content: bytearray

    @property
    def concerned(self) -> tuple[str, ...]:
        return (self.name,)


class Renamed(msgspec.Struct, frozen=True, array_like=True, tag="renamed"):
    name: str
    new_name: str

    @property
    def concerned(self) -> tuple[str, ...]:
        return (self.name, self.new_name)


class Removed(msgspec.Struct, frozen=True, array_like=True, tag="removed"):
    name: str

    @property
    def concerned(self) -> tuple[str, ...]:
        return (self.name,)


NameChange: TypeAlias = Made | Renamed | Removed


class PageCache(msgspec.Struct, frozen=True, array_like=True):
    """What a process has written and not synced: changes of names, appended bytes, and overwritten ones, by file."""

    changes: list[NameChange]
    appended: dict[str, bytes]
    overwritten: dict[str, bytes]
