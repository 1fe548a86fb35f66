"""The replicated state machine: a key-value store with client sessions (§8).

Values are strings, or lists of strings made by `append`. A client that names itself and numbers its commands (`serial`,
growing) may send one again when it does not know its outcome: it is applied once, and gets its first answer again.

The state digest is a sum over the items that exist (each hashed by itself), so it is kept up with one subtraction and
one addition a change, and depends on the state alone, not on the commands that led to it. Sessions are state too.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Any, Literal, TypeAlias

import msgspec

Operation: TypeAlias = Literal["get", "put", "append", "cas", "delete"]
OPERATIONS: tuple[Operation, ...] = ("get", "put", "append", "cas", "delete")

_MODULUS = 1 << 64


class Command(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """What a client asks for. `value` is written, appended, or set by a `cas` that finds `expected`."""

    op: Operation
    key: str
    value: str | None = None
    expected: str | None = None
    client: str | None = None
    serial: int = 0


class Result(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """The answer. `value`: what get read (None: absent), or what a failed cas found instead. `error`: not done, why."""

    ok: bool
    value: str | list[str] | None = None
    error: str | None = None


class _List(msgspec.Struct):
    """A list value with the chained digest of its tokens, so that appending costs the same at any length."""

    tokens: list[str]
    digest: bytes


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Command)


def encode_command(command: Command) -> bytes:
    return _encoder.encode(command)


def decode_command(data: bytes) -> Command:
    return _decoder.decode(data)


class Machine:
    """The key-value store. `apply` is deterministic: equal logs give equal states, answers and digests."""

    def __init__(self, max_sessions: int = 100_000) -> None:
        self.max_sessions = max_sessions
        self._items: dict[str, str | _List] = {}
        self._sessions: dict[str, tuple[int, Result]] = {}  # oldest use first
        self._sum = 0

    @property
    def digest(self) -> str:
        """The digest of the whole state, 16 hexadecimal digits."""
        return f"{self._sum:016x}"

    def apply(self, command: bytes) -> Result | None:
        """Applies one log entry's command; None for a no-op."""
        if not command:
            return None
        asked = decode_command(command)
        if asked.client is None:
            return self._execute(asked)
        session = self._sessions.get(asked.client)
        if session is not None and asked.serial <= session[0]:
            return self._answer_again(asked.serial, session)
        result = self._execute(asked)
        self._remember(asked.client, asked.serial, result)
        return result

    # ---- sessions (§8) --------------------------------------------------------------------------------------------

    def _answer_again(self, serial: int, session: tuple[int, Result]) -> Result:
        last_serial, answer = session
        if serial == last_serial:
            return answer
        return Result(False, error=f"serial {serial} is older than this client's latest, {last_serial}")

    def _remember(self, client: str, serial: int, result: Result) -> None:
        old = self._sessions.pop(client, None)
        if old is not None:
            self._subtract(b"s", client, _session_digest(old))
        self._sessions[client] = (serial, result)
        self._add(b"s", client, _session_digest((serial, result)))
        if len(self._sessions) > self.max_sessions:
            oldest = next(iter(self._sessions))  # the same on every node: it follows from the log's order
            self._subtract(b"s", oldest, _session_digest(self._sessions.pop(oldest)))

    # ---- operations -----------------------------------------------------------------------------------------------

    def _execute(self, asked: Command) -> Result:
        key, current = asked.key, self._items.get(asked.key)
        match asked.op:
            case "get":
                return Result(True, value=_plain(current))
            case "put":
                self._set(key, asked.value or "")
                return Result(True)
            case "append":
                return self._append(key, current, asked.value or "")
            case "cas":
                if isinstance(current, _List) or current != asked.expected:
                    return Result(False, value=_plain(current), error="cas: the current value is another")
                self._set(key, asked.value or "")
                return Result(True)
            case "delete":
                self._set(key, None)
                return Result(True)

    def _append(self, key: str, current: str | _List | None, token: str) -> Result:
        if isinstance(current, str):
            return Result(False, value=current, error="append: the value is a string, not a list")
        chain = current if current is not None else _List([], b"")
        if current is not None:
            self._subtract(b"l", key, chain.digest)
        chain.tokens.append(token)
        chain.digest = _hash(chain.digest, token.encode())
        self._items[key] = chain
        self._add(b"l", key, chain.digest)
        return Result(True)

    def _set(self, key: str, value: str | None) -> None:
        old = self._items.pop(key, None)
        if isinstance(old, _List):
            self._subtract(b"l", key, old.digest)
        elif old is not None:
            self._subtract(b"v", key, old.encode())
        if value is not None:
            self._items[key] = value
            self._add(b"v", key, value.encode())

    # ---- the state digest -----------------------------------------------------------------------------------------

    def _add(self, kind: bytes, name: str, content: bytes) -> None:
        self._sum = (self._sum + _item(kind, name, content)) % _MODULUS

    def _subtract(self, kind: bytes, name: str, content: bytes) -> None:
        self._sum = (self._sum - _item(kind, name, content)) % _MODULUS


def _plain(value: str | _List | None) -> str | list[str] | None:
    return list(value.tokens) if isinstance(value, _List) else value


def _hash(*parts: bytes) -> bytes:
    digest = blake2b(digest_size=8)
    for part in parts:
        digest.update(b"%d:" % len(part))
        digest.update(part)
    return digest.digest()


def _item(kind: bytes, name: str, content: bytes) -> int:
    return int.from_bytes(_hash(kind, name.encode(), content), "big")


def _session_digest(session: tuple[int, Result]) -> bytes:
    serial, result = session
    return b"%d:" % serial + msgspec.json.encode(result)


def parse_command(raw: Any) -> Command:
    """A client's command as JSON gives it: an object, or a line such as "put x 1".

    Raises ValueError naming the field that is wrong and what it should be.
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
    """ "get K", "put K V", "append K V", "cas K EXPECTED V", "delete K"; the last word may hold spaces."""
    fields = {"get": ["key"], "delete": ["key"], "put": ["key", "value"], "append": ["key", "value"]}
    fields["cas"] = ["key", "expected", "value"]
    op, _, rest = line.strip().partition(" ")
    if op not in fields:
        raise ValueError(f"command: expected a line that starts with {', '.join(OPERATIONS)}, got {line!r}")
    words = rest.split(None, len(fields[op]) - 1)
    if len(words) != len(fields[op]):
        raise ValueError(f"command: expected '{op} {' '.join(fields[op])}', got {line!r}")
    return {"op": op, **dict(zip(fields[op], words, strict=True))}
