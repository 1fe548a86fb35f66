"""Damages of a run directory, as accidents make them: one change to one evidence file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random

from raft_chaos.invariants.rundir import RunDir
from raft_chaos.invariants.seal import EVIDENCE


@dataclass(frozen=True)
class Damage:
    """`name` is the file's path in the run directory. `undo` brings back what was there."""

    name: str
    what: str
    undo: Callable[[], object]


def evidence(run: RunDir) -> list[Path]:
    return sorted(path for pattern in EVIDENCE for path in run.path.glob(pattern))


def damage(run: RunDir, rng: Random) -> Damage:
    """Does one damage: flips a bit, swaps two adjacent lines, deletes or doubles a line, cuts the file off at any byte,
    removes it, or adds one. The file's content is another afterwards."""
    while True:
        kind = rng.choice((*_OF_BYTES, *_OF_LINES, _remove, _add))
        file = rng.choice([file for file in evidence(run) if kind not in _OF_LINES or file.suffix == ".jsonl"])
        if kind is _add:
            return _add(run, file, rng)
        before = file.read_bytes()
        what, after = kind(before, rng)  # type: ignore[operator]
        if after is None:
            file.unlink()
        elif after != before:
            file.write_bytes(after)
        else:
            continue
        return Damage(file.relative_to(run.path).as_posix(), what, partial(file.write_bytes, before))


def _flip(content: bytes, rng: Random) -> tuple[str, bytes]:
    if not content:
        return "", content
    at, bit = rng.randrange(len(content)), rng.randrange(8)
    return f"bit {bit} of byte {at} flipped", content[:at] + bytes([content[at] ^ 1 << bit]) + content[at + 1 :]


def _cut_off(content: bytes, rng: Random) -> tuple[str, bytes]:
    at = rng.randrange(len(content) + 1)
    return f"cut off at byte {at}", content[:at]


def _swap(content: bytes, rng: Random) -> tuple[str, bytes]:
    lines = content.splitlines(keepends=True)
    if len(lines) < 2:
        return "", content
    at = rng.randrange(len(lines) - 1)
    lines[at : at + 2] = lines[at + 1], lines[at]
    return f"lines {at + 1} and {at + 2} swapped", b"".join(lines)


def _delete(content: bytes, rng: Random) -> tuple[str, bytes]:
    lines = content.splitlines(keepends=True)
    if not lines:
        return "", content
    at = rng.randrange(len(lines))
    return f"line {at + 1} deleted", b"".join(lines[:at] + lines[at + 1 :])


def _double(content: bytes, rng: Random) -> tuple[str, bytes]:
    lines = content.splitlines(keepends=True)
    if not lines:
        return "", content
    at = rng.randrange(len(lines))
    return f"line {at + 1} doubled", b"".join([*lines[: at + 1], *lines[at:]])


def _remove(content: bytes, rng: Random) -> tuple[str, None]:
    return "removed", None


def _add(run: RunDir, file: Path, rng: Random) -> Damage:
    """One more file of evidence: a copy of another one as a later incarnation, or an order where there is none."""
    nodes = sorted(path for path in (run.path / "nodes").iterdir() if path.is_dir())
    added = rng.choice(nodes) / rng.choice(("events-0099.jsonl", "journal-0099"))
    if not run.order.exists() and rng.random() < 0.3:
        added = run.order
    added.write_bytes(file.read_bytes())
    return Damage(added.relative_to(run.path).as_posix(), f"added, a copy of {file.name}", added.unlink)


_OF_BYTES = (_flip, _cut_off)
_OF_LINES = (_swap, _delete, _double)
