"""Replays one incarnation turn by turn, and compares each turn with its journal and its events.

It starts from the log that the incarnation recovered, on a disk in memory. Everything else is the node's own code:
recovery, replica, numbering of messages, failpoints (`SteppedNode`). A turn is equal if the digest of its output is
equal, and if its events are the same bytes as in the file. The journal is written before the events, so after a kill
the events of the last turn may be missing or cut short in the file; any other difference counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import msgspec

from raft_chaos.chaos.faults.process import Failpoint
from raft_chaos.chaos.replay.result import Difference, ReplayError
from raft_chaos.chaos.run.nodes.step import StepConfig, StepReport
from raft_chaos.chaos.run.nodes.stepped_node import SteppedNode
from raft_chaos.invariants.events import MALFORMED, AnyEvent, decode, encode
from raft_chaos.invariants.regular_file import read_regular
from raft_chaos.invariants.trace import differing
from raft_chaos.raft.replica.inputs import Input, Received
from raft_chaos.raft.replica.output import Output
from raft_chaos.raft.server.parts import Parts
from raft_chaos.raft.state.messages import FileRecord
from raft_chaos.raft.storage.disk import MemoryDisk
from raft_chaos.raft.storage.framing import DamagedRecordError, unframe
from raft_chaos.raft.storage.identity import IDENTITY, Identity
from raft_chaos.raft.storage.journal import ClockChanged, JournalError, Start, Turn, digest_of, read_journal
from raft_chaos.raft.storage.log_file import FILE, MAGIC, MAGIC_WITH_BASE, base_of

_decode_records = msgspec.msgpack.Decoder(list[FileRecord]).decode


@dataclass(frozen=True)
class Recorded:
    """The files of an incarnation. `log_bytes` is the content of `log`, the node's log file at the end of the run."""

    node: str
    incarnation: int
    journal: Path
    events: Path
    log: Path
    log_bytes: bytes


@dataclass
class ReplayedTurn:
    """One turn: its recording, and its result now: an output, or the error that the node died of."""

    number: int
    recorded: Turn
    report: StepReport | None = None
    output: Output | None = None
    digest: bytes = b""
    error: Exception | None = None
    lines: list[bytes] = field(default_factory=list)


class _LastOutput:
    """A step observer that keeps the output of the node's last turn."""

    def __init__(self) -> None:
        self.output: Output | None = None
        self.digest = b""

    def start(self, start: Start) -> None:
        """Not needed: the replay itself starts the node, gives it its inputs and changes its clock."""

    def took(self, given: Input, /) -> None:
        """Not needed."""

    def acted(self, output: Output, at_us: int, unsent: Sequence[int], stopped_at: str | None) -> None:
        self.output = copy(output)  # its times are converted later, in place
        self.digest = digest_of(output)

    def clock_changed(self, now_us: int, rate_ppm: int, jump_us: int) -> None:
        """Not needed."""


def _contents(file: Path) -> bytes:
    """What is in the file; nothing if there is none. Raises ReplayError."""
    try:
        return read_regular(file)
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise ReplayError(f"{file}: cannot be read ({error.strerror})") from None


class Incarnation:
    """Replays one incarnation; `turns` does it. Raises ReplayError if a file cannot be used."""

    def __init__(self, recorded: Recorded, parts: Parts) -> None:
        self.recorded = recorded
        self.node: SteppedNode | None = None
        self.difference: Difference | None = None
        self.start: Start | None = None
        self._parts = parts
        self._observer = _LastOutput()
        self._file = _contents(recorded.events)
        self._compared = 0
        self._short: ReplayedTurn | None = None  # the turn whose events are missing in the file, or cut short

    def turns(self) -> Iterator[ReplayedTurn]:
        """Yields each turn that is equal to the recording. Ends at the first different one and sets `difference`."""
        turn = None
        for number, recorded in enumerate(self._records(), 1):
            turn = self._replay(number, recorded)
            self.difference = self._compare(turn)
            if self.difference is not None:
                return
            yield turn
            if turn.error is not None:
                break  # nothing can follow
        if self._compared < len(self._file):
            raise ReplayError(
                f"{self.recorded.journal}: ends before {self.recorded.events.name}, although a journal is written "
                "first; it was cut short, or belongs to another node"
            )

    @property
    def events(self) -> int:
        """The number of events that were equal."""
        return self._file.count(b"\n", 0, self._compared)

    def written(self, base_index: int) -> bytes:
        """The log that the replayed node wrote, synced or not. If the log that was found begins after `base_index`, and
        its snapshot was under way, the recorded node had saved it and did not live to say so."""
        if self.node is None:
            return b""
        if self.node.wal.staged is not None and base_index > base_of(self.node.disk.read(FILE)):
            self.node.wal.sync()
        return self.node.disk.read(FILE)

    # ---- replaying ------------------------------------------------------------------------------------------------

    def _records(self) -> Iterator[Turn]:
        """The recorded turns. Changes the node's clock in between, as recorded."""
        try:
            for record in read_journal(self.recorded.journal):
                match record:
                    case Start():
                        self._check_start(record)
                        self.start = record
                    case Turn():
                        yield record
                    case ClockChanged(now_us, rate_ppm, jump_us):
                        if self.node is not None:
                            self.node.change_clock(now_us, rate_ppm, jump_us)
        except JournalError as error:
            raise ReplayError(str(error)) from None

    def _check_start(self, start: Start) -> None:
        """Raises ReplayError if this is another node's journal, or if the log lacks records that were recovered."""
        recorded = self.recorded
        if (start.node, start.incarnation) != (recorded.node, recorded.incarnation):
            raise ReplayError(
                f"{recorded.journal}: this is the journal of {start.node}, incarnation {start.incarnation}"
            )
        log = start.files.get(FILE, recorded.log_bytes[: start.log_size])
        intact = len(MAGIC)
        if log[:intact] not in (MAGIC, MAGIC_WITH_BASE):
            raise ReplayError(f"{recorded.log}, offset 0: not a write-ahead log; expected {MAGIC!r}")
        try:
            for _, end in unframe(log, intact, _decode_records):
                intact = end
        except DamagedRecordError as error:
            raise ReplayError(f"{recorded.log}, offset {error.offset}: {error}") from None
        if intact < start.log_size:
            raise ReplayError(
                f"{recorded.log}, offset {intact}: expected an intact record, since incarnation "
                f"{recorded.incarnation} of {recorded.node} recovered {start.log_size} bytes"
            )

    def _replay(self, number: int, recorded: Turn) -> ReplayedTurn:
        turn = ReplayedTurn(number, recorded)
        if self.node is None and recorded.inputs:
            raise ReplayError(f"{self.recorded.journal}: the first turn has inputs; expected the start of the node")
        try:
            turn.report = self._start(recorded) if self.node is None else self._step(self.node, recorded)
        except Exception as error:
            turn.error = error
            turn.lines = self._received(recorded)
        else:
            turn.output, turn.digest = self._observer.output, self._observer.digest
            turn.lines = [encode(event) for event in turn.report.events]
        return turn

    def _start(self, recorded: Turn) -> StepReport:
        start = self.start
        assert start is not None, "read_journal gives it first"
        disk = MemoryDisk()
        disk.append(IDENTITY, msgspec.json.encode(Identity(start.cluster, start.node)))
        for name, content in (start.files or {FILE: self.recorded.log_bytes[: start.log_size]}).items():
            disk.append(name, content)
        config = StepConfig(
            start.cluster, start.node, start.peers, start.incarnation, start.timing, start.seed, start.clock[-1]
        )
        self.node = SteppedNode(config, self._parts, disk, recorded.at_us, self._observer)
        return self.node.first

    def _step(self, node: SteppedNode, recorded: Turn) -> StepReport:
        inputs = [(given, None) for given in recorded.inputs]
        failpoint = cast(Failpoint | None, recorded.stopped_at)
        return node.turn(inputs, recorded.at_us, failpoint, set(recorded.unsent))

    def _received(self, recorded: Turn) -> list[bytes]:
        """The events that a node may have reported in the turn in which it died: the messages that it received."""
        if self.node is None:
            return []
        given = [given for given in recorded.inputs if isinstance(given, Received)]
        return [encode(self.node.received(one, recorded.at_us)) for one in given]

    # ---- comparing ------------------------------------------------------------------------------------------------

    def _compare(self, turn: ReplayedTurn) -> Difference | None:
        if self._short is not None:
            return self.differs(self._short, "the recorded node reported less and continued", now=self._short.lines[-1])
        died_then = not turn.recorded.digest
        if turn.error is not None and not died_then:
            return self.differs(turn, f"the node dies now: {type(turn.error).__name__}: {turn.error}")
        if turn.error is None and died_then:
            return self.differs(turn, "the recorded node died of an error here, and the replayed node continues")
        difference = self._compare_events(turn)
        if difference is None and turn.digest != turn.recorded.digest:
            return self.differs(turn, "the outputs differ, although the reported events are equal")
        return difference

    def _compare_events(self, turn: ReplayedTurn) -> Difference | None:
        reported = b"".join(turn.lines)
        there = self._file[self._compared : self._compared + len(reported)]
        if there == reported:
            self._compared += len(reported)
            return None
        if self._compared + len(there) == len(self._file) and reported.startswith(there):
            self._compared = len(self._file)
            self._short = turn
            return None
        for line in turn.lines:
            if self._line() != line:
                return self.differs(turn, "an event differs", recorded=self._line(), now=line)
            self._compared += len(line)
        raise AssertionError("the bytes differ, so some line differs")

    def _line(self) -> bytes:
        """The recorded line to compare next."""
        end = self._file.find(b"\n", self._compared) + 1
        return self._file[self._compared : end or len(self._file)]

    def differs(
        self, turn: ReplayedTurn | None, what: str, *, recorded: bytes | None = None, now: bytes | None = None
    ) -> Difference:
        return Difference(
            node=self.recorded.node,
            incarnation=self.recorded.incarnation,
            turn=turn.number if turn is not None else 0,
            at_us=turn.recorded.at_us if turn is not None else 0,
            inputs=turn.recorded.inputs if turn is not None else [],
            what=what,
            recorded=_text(recorded),
            now=_text(now),
            fields=_fields(recorded, now),
            output=turn.output if turn is not None else None,
        )


def _text(line: bytes | None) -> str | None:
    return line.decode(errors="replace").rstrip("\n") if line is not None else None


def _fields(recorded: bytes | None, now: bytes | None) -> dict[str, tuple[Any, Any]]:
    """The differing fields of two events; empty if one is missing, or the recorded one is damaged."""
    then, event = _event(recorded), _event(now)
    return differing(then, event) if then is not None and event is not None else {}


def _event(line: bytes | None) -> AnyEvent | None:
    try:
        return decode(line) if line is not None else None
    except MALFORMED:
        return None
