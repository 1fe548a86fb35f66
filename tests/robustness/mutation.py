"""Damages inputs: from a valid sample and a generator of random numbers to something that a door must refuse or bear.

Three levels, since each finds what the others do not: bytes (torn, flipped, doubled), lines (a file of events with one
line swapped or missing), and trees (a well-formed message whose one field is absurd).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from copy import deepcopy
from random import Random
from typing import Any

ABSURD: tuple[Any, ...] = (
    None,
    True,
    0,
    -1,
    1,
    10**9,
    2**31,
    2**53 + 1,
    2**63 - 1,
    2**63,
    2**64 - 1,
    -(2**63),
    0.5,
    -1e308,
    "",
    "\x00",
    "n1",
    "§\N{GRINNING FACE}",
    "9" * 5000,
    [],
    {},
    [[]],
)
INTERESTING_BYTES = (0x00, 0x01, 0x0A, 0x22, 0x5B, 0x7B, 0x7F, 0x80, 0xC1, 0xDC, 0xDF, 0xFF)
DEEP = 3_000
"""Levels of nesting: more than an interpreter's recursion limit."""


def damaged_bytes(rng: Random, sample: bytes) -> bytes:
    """One to four damages that know nothing of the format."""
    data = bytearray(sample)
    for _ in range(rng.choice((1, 1, 2, 4))):
        rng.choice(_OF_BYTES)(rng, data)
    return bytes(data)


def damaged_lines(rng: Random, sample: bytes) -> bytes:
    """One line missing, doubled, moved, cut, or with another value in it."""
    lines = sample.splitlines(keepends=True)
    if not lines:
        return damaged_bytes(rng, sample)
    place = rng.randrange(len(lines))
    match rng.randrange(7):
        case 0:
            del lines[place]
        case 1:
            lines.insert(place, lines[place])
        case 2:
            other = rng.randrange(len(lines))
            lines[place], lines[other] = lines[other], lines[place]
        case 3:
            lines[place] = lines[place][: rng.randrange(len(lines[place]))]
        case 4:
            lines[place] = damaged_bytes(rng, lines[place])
        case _:
            lines[place] = damaged_json(rng, lines[place]).rstrip(b"\n") + b"\n"
    return b"".join(lines)


def damaged_json(rng: Random, sample: bytes) -> bytes:
    """Well-formed JSON with one absurd value; bytes are damaged where the sample is none."""
    try:
        tree = json.loads(sample)
    except ValueError:
        return damaged_bytes(rng, sample)
    if rng.random() < 0.02:
        return b"[" * DEEP + b"]" * DEEP
    return json.dumps(damaged_tree(rng, tree)).encode()


def damaged_tree(rng: Random, tree: Any) -> Any:
    """The same tree with one to three values replaced, removed, doubled or renamed."""
    for _ in range(rng.choice((1, 1, 1, 3))):
        holders = list(_holders(tree))
        if not holders:
            return rng.choice(ABSURD)
        holder = rng.choice(holders)
        key = rng.choice(list(holder) if isinstance(holder, dict) else range(len(holder)))
        match rng.randrange(8):
            case 0:
                del holder[key]
            case 1 if isinstance(holder, list):
                holder.insert(key, deepcopy(holder[key]))
            case 2 if isinstance(holder, dict):
                holder[rng.choice(("", "type", "kind", f"{key}s"))] = holder.pop(key)
            case 3 if isinstance(holder[key], int):
                holder[key] += rng.choice((-1, 1, 2**32))
            case _:
                holder[key] = deepcopy(rng.choice(ABSURD))
    return tree


def _holders(tree: Any) -> Any:
    """All lists and objects in the tree that hold something."""
    stack = [tree]
    while stack:
        node = stack.pop()
        if isinstance(node, dict | list) and node:
            yield node
            stack += node.values() if isinstance(node, dict) else node


# ---- bytes -------------------------------------------------------------------------------------------------------


def _flip(rng: Random, data: bytearray) -> None:
    if data:
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def _set(rng: Random, data: bytearray) -> None:
    if data:
        data[rng.randrange(len(data))] = rng.choice(INTERESTING_BYTES)


def _cut(rng: Random, data: bytearray) -> None:
    del data[rng.randint(0, len(data)) :]


def _remove(rng: Random, data: bytearray) -> None:
    at = rng.randint(0, len(data))
    del data[at : at + rng.choice((1, 2, 8, 64))]


def _zero(rng: Random, data: bytearray) -> None:
    at, length = rng.randint(0, len(data)), rng.choice((1, 4, 32, 512))
    data[at : at + length] = bytes(len(data[at : at + length]))


def _double(rng: Random, data: bytearray) -> None:
    at = rng.randint(0, len(data))
    data[at:at] = data[at : at + rng.choice((1, 8, 64, 512))]


def _insert(rng: Random, data: bytearray) -> None:
    at = rng.randint(0, len(data))
    data[at:at] = rng.choice((rng.randbytes(rng.randint(1, 16)), b"\n", b"[" * DEEP, b"\xff" * 9))


def _length(rng: Random, data: bytearray) -> None:
    """Four bytes that may be a length or a number."""
    if len(data) >= 4:
        at = rng.randrange(len(data) - 3)
        value = rng.choice((0, 1, 2**16, 2**24, 2**31 - 1, 2**32 - 1))
        data[at : at + 4] = value.to_bytes(4, rng.choice(("big", "little")))


_OF_BYTES: Sequence[Callable[[Random, bytearray], None]] = (
    _flip,
    _set,
    _cut,
    _remove,
    _zero,
    _double,
    _insert,
    _length,
)
