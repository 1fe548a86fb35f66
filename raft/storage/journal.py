"""A node's journal: every input of its replica, and a digest of each output. One file for each incarnation.

    file    = magic (8 bytes, the last one a version), then records as in `raft.storage.framing`
    body    = one of `Start`, `Turn` and `ClockChanged`, as a msgpack array; `Start` is the first

A replica is a pure object, so the journal and the recovered log are enough to replay an incarnation step by step, and
to check that each step has the same output. That makes a run of real processes replayable.

A node writes each turn in one unbuffered write, before any result of it leaves the process: its events, its messages,
its write to the log, its answers. So SIGKILL tears at most the last record, and an input that is not in the journal had
no visible effect. (A redirect or a status shows a client the state, not an effect of a turn.)
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import TypeAlias

import msgspec

from raft_chaos.invariants.regular_file import read_regular
from raft_chaos.raft.replica.inputs import Input
from raft_chaos.raft.replica.output import Output
from raft_chaos.raft.state.timing import Timing
from raft_chaos.raft.storage.framing import DamagedRecordError, frame, unframe

VERSION = 4
"""Version 2 had no `Start.files`, 3 no transfers of the leadership among the inputs."""
READS = (2, 3, VERSION)
MAGIC = b"RCJRNL\x00" + bytes([VERSION])
DIGEST_BYTES = 8


class JournalError(Exception):
    """The file is not a valid journal. The message says which file, the offset, and what is wrong."""


class Start(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="start"):
    """The incarnation recovered, and made its replica at `now_us` of its own clock.

    `log_size` is the size of the log after recovery, in bytes. Later writes only append, so these bytes are the
    recovered log. Where snapshots may replace the log, `files` has what was recovered, by name (`wal.files`). `seed` is
    that of the election timer's stream. The last of `clock` is what the node's clock shows (`raft.server.node_clock`);
    (0, 0, 0) is a correct one. Earlier versions wrote its whole past there.
    """

    cluster: str
    node: str
    peers: list[str]
    incarnation: int
    timing: Timing
    seed: int
    log_size: int
    clock: list[tuple[int, int, int]]
    now_us: int
    files: dict[str, bytes] = {}


class Turn(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="turn"):
    """The inputs since the last turn, and one `advance` after them. The first one has none: it is the start.

    `at_us` is the run's time of the messages that were sent. `unsent` are the positions, in the output's messages, of
    those that got no number because their link was down. `stopped_at` is the failpoint at which the turn ended.
    `digest` is `digest_of` the output; empty, the node died of an error while it took these inputs or acted on them.
    """

    inputs: list[Input]
    at_us: int
    unsent: list[int]
    stopped_at: str | None
    digest: bytes


class ClockChanged(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="clock"):
    """At `now_us` of the run the node's clock jumps by `jump_us` (negative: back); from then on it gains `rate_ppm`."""

    now_us: int
    rate_ppm: int
    jump_us: int


JournalRecord: TypeAlias = Start | Turn | ClockChanged

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(JournalRecord).decode


def digest_of(output: Output) -> bytes:
    """The digest of the whole output: events, messages, the write, the deadline, and answers without their tokens."""
    replies = [(reply.index, reply.term, reply.result) for reply in output.replies]
    said = _encode((output.events, output.messages, output.write, output.deadline_us, replies))
    return blake2b(said, digest_size=DIGEST_BYTES).digest()


class Journal:
    """Writes the journal of one incarnation. Raises OSError if a write fails."""

    def __init__(self, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        self._fd = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o644)
        self._inputs: list[Input] = []
        self._started = False
        self.took = self._inputs.append
        """Takes an input, before the replica gets it, and writes it later with its turn."""

    def start(self, start: Start) -> None:
        """Writes the first record. Call it before the replica is made."""
        self._started = True
        self._write(MAGIC + frame(_encode(start)))

    def acted(self, output: Output, at_us: int, unsent: Sequence[int] = (), stopped_at: str | None = None) -> None:
        """Writes a turn. Call it before any of its output is carried out."""
        self._turn(at_us, list(unsent), stopped_at, digest_of(output))

    def died(self, at_us: int) -> None:
        """Writes the last turn: an input, or acting on it, raised an error. Writes nothing if there was no start."""
        if self._started:
            self._turn(at_us, [], None, b"")

    def clock_changed(self, now_us: int, rate_ppm: int, jump_us: int) -> None:
        self._write(frame(_encode(ClockChanged(now_us, rate_ppm, jump_us))))

    def close(self) -> None:
        os.close(self._fd)

    def _turn(self, at_us: int, unsent: list[int], stopped_at: str | None, digest: bytes) -> None:
        self._write(frame(_encode(Turn(self._inputs, at_us, unsent, stopped_at, digest))))
        self._inputs.clear()

    def _write(self, data: bytes) -> None:
        while data:
            data = data[os.write(self._fd, data) :]


def read_journal(file: Path) -> Iterator[JournalRecord]:
    """The records of a journal, without a torn tail; none if the incarnation ended before it wrote its start.

    Raises JournalError, while it reads, for content that no kill can leave.
    """
    try:
        data = read_regular(file)
    except OSError as error:
        raise JournalError(f"{file}: cannot be read ({error.strerror})") from None
    _check_magic(file, data[: len(MAGIC)])
    offset = len(MAGIC)
    try:
        for record, end in unframe(data, offset, _decode):
            if isinstance(record, Start) is not (offset == len(MAGIC)):
                raise JournalError(f"{file}, offset {offset}: expected Start as the first record, and only there")
            yield record
            offset = end
    except DamagedRecordError as error:
        raise JournalError(f"{file}, offset {error.offset}: {error}") from None


def _check_magic(file: Path, found: bytes) -> None:
    if MAGIC.startswith(found):
        return  # or torn in the middle of it
    if found[:-1] == MAGIC[:-1] and len(found) == len(MAGIC):
        if found[-1] in READS:
            return
        raise JournalError(
            f"{file}, offset 0: version {found[-1]} of the format; this version reads {' and '.join(map(str, READS))}"
        )
    raise JournalError(f"{file}, offset 0: no journal of a node (expected {MAGIC!r}, found {found!r})")
