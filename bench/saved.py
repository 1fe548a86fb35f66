"""The figures of a benchmark as a file, `python -m bench --json FILE`: every round of every row, to compare later."""

from __future__ import annotations

from pathlib import Path

import msgspec

from bench.measures import Row
from raft_chaos.invariants.events import MALFORMED

SCHEMA = 1


class SavedPart(msgspec.Struct, frozen=True, kw_only=True):
    """A table: its name, as `--only` has it, its heading, and what the two columns are."""

    name: str
    title: str
    sides: tuple[str, str]
    rows: list[Row]


class Saved(msgspec.Struct, frozen=True, kw_only=True):
    """All tables of one benchmark, and the machine in words."""

    schema: int = SCHEMA
    machine: str
    parts: list[SavedPart]


class SavedError(Exception):
    """A file is not one of a benchmark. The message says which, and why."""


def save(measured: Saved, file: Path) -> None:
    """Raises OSError."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(msgspec.json.format(msgspec.json.encode(measured), indent=1) + b"\n")


def load(file: Path) -> Saved:
    """Raises SavedError."""
    try:
        read = msgspec.json.decode(file.read_bytes(), type=Saved)
    except (OSError, *MALFORMED) as error:
        raise SavedError(
            f"{file}: not the file of a benchmark ({error}); python -m bench --json FILE writes one"
        ) from None
    if read.schema != SCHEMA:
        raise SavedError(f"{file}: schema {read.schema}; this version reads {SCHEMA}")
    return read
