"""The replicated state machine: a key-value store with client sessions (§8).

Values are strings, or lists of strings made by `append`. A client that names itself and numbers its commands (`serial`,
growing) may send a command of unknown outcome again: the machine applies it once, and gives the first answer again.

A session is (`client`, `since`). The machine remembers `max_sessions` of them, and then forgets the one whose latest
command is the oldest in the log: a function of the log alone, never of a clock, so all nodes forget the same ones
(thesis, §6.3). A command of a session that it may have forgotten must not be applied, since it may have been applied
already. The thesis lets each client register first, and names its session by the index of that entry. Here a client
needs no registration: `since` is the index of any entry that the client knew of before the session began, 0 without
one. The machine keeps the `horizon`: the index of the latest command of all sessions that it has forgotten. A command
of an unknown session is refused as expired if its `since` is below the horizon, and opens the session otherwise.

Why no command is applied twice: let a command of the session (c, s) be applied at index a. Then s < a, since the client
knew entry s before it sent the command, and the machine refuses any other. A later copy finds the session, and gets the
first answer or is refused for its serial; or the session was forgotten, and then the horizon is at least a, so s is
below it, and the copy is refused. The horizon never goes back.

Why a client is not refused for ever: the refusal is an entry, too. Its index is above the horizon, so a new session
with that index as its `since` begins, unless more than `max_sessions` other sessions were used in between.

The state digest is the sum of the hashes of all items, so each change costs one subtraction and one addition. It
depends only on the state, not on the commands that led to it. Sessions are a part of the state. The digest costs
nothing until somebody asks for it: a node that reports to nobody never does.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import NamedTuple, TypeAlias

import msgspec

from raft_chaos.raft.replica.command import Command, decode_command
from raft_chaos.raft.replica.result import NOWHERE, Place, Result
from raft_chaos.raft.replica.saved_state import SavedSession, encode_state, read_saved
from raft_chaos.raft.state.configuration_mark import is_configuration

MAX_SESSIONS = 100_000
"""How many sessions a machine remembers, unless somebody says how many."""

_MODULUS = 1 << 64


class _Mark(NamedTuple):
    """An item's share of the state's digest. A list also has the chained digest of its tokens (`chain`), so that an
    append costs the same at any length."""

    chain: bytes
    share: int


_UNMARKED = _Mark(b"", 0)
_DONE = Result(True)


_encode_result = msgspec.msgpack.Encoder().encode
_from_bytes = int.from_bytes


EXPIRED = "session expired"
"""How the error begins of a command that was not applied since its session may be forgotten."""


class Session(NamedTuple):
    """A client's latest command: its answer, the entry that decided it, and its share of the state's digest."""

    serial: int
    answer: Result
    place: Place
    share: int


SessionName: TypeAlias = tuple[str, int]
"""The client, and the index of an entry that it knew of before the session began."""


class Machine:
    """The key-value store. `apply` is deterministic: equal logs give equal states, answers and digests."""

    def __init__(self, max_sessions: int = MAX_SESSIONS) -> None:
        self.max_sessions = max_sessions
        self._items: dict[str, str | list[str]] = {}
        self._marks: dict[str, _Mark] = {}  # of all items; empty while nobody has asked for the digest
        self._sessions: dict[SessionName, Session] = {}  # least recently used first
        self.horizon = 0
        """The index of the latest command of all sessions that were forgotten; 0: none was."""
        self.decided = NOWHERE
        """The entry that decided the latest answer: the entry just applied, or the first one with the same command."""
        self._sum: int | None = None  # of all shares; None, and all shares are 0, while nobody has asked for it

    @property
    def digest(self) -> str:
        """The digest of the whole state, 16 hexadecimal digits."""
        if self._sum is None:
            self._sum = self._begin_sum()
        return f"{self._sum:016x}"

    def _begin_sum(self) -> int:
        """Gives all items and sessions their shares; returns the sum."""
        total = 0
        for key, value in self._items.items():
            chain = _chain_of(value) if isinstance(value, list) else b""
            mark = self._marks[key] = _Mark(chain, _share_of_item(key, value, chain))
            total += mark.share
        for name, one in self._sessions.items():
            share = _share_of_session(name, one.serial, one.answer)
            self._sessions[name] = one._replace(share=share)
            total += share
        total += _share_of_horizon(self.horizon)
        return total % _MODULUS

    def apply(self, command: bytes, place: Place = NOWHERE) -> Result | None:
        """Applies the command of the log entry at `place`; None for a no-op, and for a configuration (§6)."""
        self.decided = place
        if not command or is_configuration(command):
            return None
        asked = decode_command(command)
        if asked.client is None:
            return self._execute(asked)
        name = (asked.client, asked.since)
        session = self._sessions.get(name)
        if session is None:
            if asked.since < self.horizon or 0 < place[0] <= asked.since:
                return self._refuse(asked.since)
        elif asked.serial <= session.serial:
            return self._answer_again(asked.serial, session)
        result = self._execute(asked)
        self._remember(name, asked.serial, result)
        return result

    def read(self, key: str) -> Result:
        """What the key holds now (None: nothing). Changes nothing."""
        current = self._items.get(key)
        return Result(True, value=list(current) if isinstance(current, list) else current)

    # ---- snapshots (§7) -------------------------------------------------------------------------------------------

    def snapshot(self) -> bytes:
        """The whole state, sessions included. Equal logs give equal bytes, on every node."""
        sessions = self._saved_sessions()
        sinces = [since for _, since in self._sessions]
        return encode_state(self._items, sessions, self.horizon, sinces[: len(sessions)])

    def _saved_sessions(self) -> list[SavedSession]:
        """Without them, a command that a client sends again after a restart would be applied twice (§8)."""
        return [(client, one.serial, one.answer, one.place) for (client, _), one in self._sessions.items()]

    def restore(self, data: bytes) -> None:
        """Takes over a snapshot's state in place of its own, and makes the digest anew. Raises SnapshotError."""
        saved = read_saved(data)
        self._clear()
        if self._sum is None:
            self._items = saved.items()
        else:
            for key, value in saved.items().items():
                self._set(key, value, _chain_of(value) if isinstance(value, list) else b"")
        self._move_horizon(saved.horizon)
        for (client, serial, answer, place), since in zip(saved.sessions, saved.sinces, strict=True):
            self.decided = place
            self._remember((client, since), serial, answer)

    def _clear(self) -> None:
        self._items, self._marks, self._sessions, self.horizon = {}, {}, {}, 0
        if self._sum is not None:
            self._sum = 0

    # ---- sessions (§8) --------------------------------------------------------------------------------------------

    def _refuse(self, since: int) -> Result:
        """The command of a session that is unknown, and may have been forgotten."""
        if since >= self.horizon:
            return Result(False, error=f"since {since}: expected the index of an entry before this one")
        return Result(
            False,
            error=f"{EXPIRED}, or it began too long ago: the latest command of a session that was forgotten is entry "
            f"{self.horizon}, and this one began at {since}; begin a new one with the index of this answer",
        )

    def _answer_again(self, serial: int, session: Session) -> Result:
        if serial < session.serial:
            return Result(False, error=f"serial {serial} is older than this client's latest, {session.serial}")
        self.decided = session.place
        return session.answer

    def _remember(self, name: SessionName, serial: int, answer: Result) -> None:
        old = self._sessions.pop(name, None)
        share = 0 if self._sum is None else _share_of_session(name, serial, answer)
        self._add(share - (old.share if old is not None else 0))
        self._sessions[name] = Session(serial, answer, self.decided, share)
        if len(self._sessions) > self.max_sessions:
            self._forget(next(iter(self._sessions)))  # the same on every node: it follows from the log's order

    def _forget(self, name: SessionName) -> None:
        """The session expires: what may be of it is refused from now on."""
        old = self._sessions.pop(name)
        self._add(-old.share)
        self._move_horizon(max(self.horizon, old.place[0]))

    def _move_horizon(self, index: int) -> None:
        if self._sum is not None:
            self._add(_share_of_horizon(index) - _share_of_horizon(self.horizon))
        self.horizon = index

    def _add(self, change: int) -> None:
        if self._sum is not None:
            self._sum = (self._sum + change) % _MODULUS

    # ---- operations -----------------------------------------------------------------------------------------------

    def _execute(self, asked: Command) -> Result:
        key = asked.key
        current = self._items.get(key)
        match asked.op:
            case "get":
                return self.read(key)
            case "put":
                self._set(key, asked.value or "")
                return _DONE
            case "append":
                return self._append(key, current, asked.value or "")
            case "cas":
                if isinstance(current, list) or current != asked.expected:
                    value = list(current) if isinstance(current, list) else current
                    return Result(False, value=value, error="cas: the current value is another")
                self._set(key, asked.value or "")
                return Result(True)
            case "delete":
                self._items.pop(key, None)
                self._add(-self._marks.pop(key, _UNMARKED).share)
                return Result(True)

    def _append(self, key: str, current: str | list[str] | None, token: str) -> Result:
        if isinstance(current, str):
            return Result(False, value=current, error="append: the value is a string, not a list")
        tokens = current if current is not None else []
        tokens.append(token)
        is_kept = self._sum is not None
        self._set(key, tokens, _chained(self._marks.get(key, _UNMARKED).chain, token) if is_kept else b"")
        return Result(True)

    def _set(self, key: str, value: str | list[str], chain: bytes = b"") -> None:
        """`chain` is the chained digest of a list's tokens, while the digest is kept."""
        self._items.pop(key, None)
        self._items[key] = value
        if self._sum is not None:
            share = _share_of_item(key, value, chain)
            self._sum = (self._sum + share - self._marks.get(key, _UNMARKED).share) % _MODULUS
            self._marks[key] = _Mark(chain, share)


def _chain_of(tokens: list[str]) -> bytes:
    chain = b""
    for token in tokens:
        chain = _chained(chain, token)
    return chain


def _chained(chain: bytes, token: str) -> bytes:
    return blake2b(chain + token.encode(), digest_size=8).digest()


def _share_of_item(key: str, value: str | list[str], chain: bytes) -> int:
    """`chain` stands for a list's tokens."""
    return _share(b"v", key, value.encode()) if isinstance(value, str) else _share(b"l", key, chain)


def _share_of_session(name: SessionName, serial: int, answer: Result) -> int:
    client, since = name
    return _share(b"n%d:" % since if since else b"s", client, b"%d:" % serial + _encode_result(answer))


def _share_of_horizon(index: int) -> int:
    return _share(b"h", "", b"%d" % index) if index else 0


def _share(kind: bytes, name: str, content: bytes) -> int:
    """The share of one item or session in the state's digest; the name's length separates name and content."""
    encoded = name.encode()
    return _from_bytes(blake2b(b"%b%d:%b%b" % (kind, len(encoded), encoded, content), digest_size=8).digest(), "big")
