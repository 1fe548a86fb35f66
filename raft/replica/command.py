"""What a client may ask of the key-value store: commands, in the log as bytes and from clients as JSON, and reads."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import msgspec

Operation: TypeAlias = Literal["get", "put", "append", "cas", "delete"]
OPERATIONS: tuple[Operation, ...] = ("get", "put", "append", "cas", "delete")


class Command(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """A client's command. `value` is written, appended, or set by a `cas` that finds `expected`. Those of one session
    have the same `client` and `since`, and growing serials."""

    op: Operation
    key: str
    value: str | None = None
    expected: str | None = None
    client: str | None = None
    serial: int = 0
    since: int = 0


Consistency: TypeAlias = Literal["read_index", "lease", "stale"]
"""How a read is served that needs no log entry: by a leader that makes sure that it leads, by a leader that goes by its
clock if the cluster has leases, or by any node at once."""


class Read(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """A client's read of a key, without a log entry. `client` and `serial` only name it: whoever reads a journal can
    tell whose read it was."""

    key: str
    consistency: Consistency
    client: str | None = None
    serial: int = 0


_encoder = msgspec.msgpack.Encoder()
decode_command = msgspec.msgpack.Decoder(Command).decode


def encode_command(command: Command) -> bytes:
    if command.since:
        return _encoder.encode(command)
    return _encoder.encode((command.op, command.key, command.value, command.expected, command.client, command.serial))


def parse_command(raw: Any) -> Command:
    """Parses a client's command in JSON: an object, or a line such as "put x 1".

    Raises ValueError, which names the wrong field and what it should be.
    """
    if isinstance(raw, str):
        raw = _parse_line(raw)
    if not isinstance(raw, dict):
        raise ValueError('command: expected an object such as {"op": "put", "key": "x", "value": "1"} or "put x 1"')
    unknown = sorted(set(raw) - {"op", "key", "value", "expected"})
    if unknown:
        raise ValueError(f"command.{unknown[0]}: no such field; there are op, key, value, expected")
    op, key, value, expected = (raw.get(name) for name in ("op", "key", "value", "expected"))
    if op not in OPERATIONS:
        raise ValueError(f"command.op: expected one of {', '.join(OPERATIONS)}, got {op!r}")
    if not isinstance(key, str) or not key:
        raise ValueError(f"command.key: expected a string of at least one character, got {key!r}")
    if op in ("put", "append", "cas") and not isinstance(value, str):
        raise ValueError(f"command.value: {op} needs a string, got {value!r}")
    if op in ("get", "delete") and value is not None:
        raise ValueError(f"command.value: {op} takes none, got {value!r}")
    if op != "cas" and expected is not None:
        raise ValueError(f"command.expected: only cas takes one, got {expected!r}")
    if expected is not None and not isinstance(expected, str):
        raise ValueError(f"command.expected: expected a string, or null for an absent key, got {expected!r}")
    return Command(op, key, value, expected)


def _parse_line(line: str) -> dict[str, str]:
    """ "get K", "put K V", "append K V", "cas K EXPECTED V", "delete K"; the last word may contain spaces."""
    fields = {"get": ["key"], "delete": ["key"], "put": ["key", "value"], "append": ["key", "value"]}
    fields["cas"] = ["key", "expected", "value"]
    op, _, rest = line.strip().partition(" ")
    if op not in fields:
        raise ValueError(f"command: expected a line that starts with {', '.join(OPERATIONS)}, got {line!r}")
    words = rest.split(None, len(fields[op]) - 1)
    if len(words) != len(fields[op]):
        raise ValueError(f"command: expected '{op} {' '.join(fields[op])}', got {line!r}")
    return {"op": op, **dict(zip(fields[op], words, strict=True))}
