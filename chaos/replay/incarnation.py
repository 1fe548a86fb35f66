"""One incarnation lived again, turn by turn, each compared with what its journal and its events say of it.

It starts from what its log held when it recovered, over a disk in memory. All else is the node's own code: recovery,
replica, numbering of messages, failpoints (`SteppedNode`). A turn is equal if the digest of its output is, and if its
events are the same bytes as in the file. The journal is written first, so a kill may have kept the events of the last
turn from the file, or a part of them; nothing else is forgiven.
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
from raft_chaos.chaos.run.nodes.stepped_node import StepConfig, SteppedNode, StepReport
from raft_chaos.invariants.events import AnyEvent, decode, encode
from raft_chaos.invariants.trace import differing
from raft_chaos.raft.replica.inputs import Input, Received
from raft_chaos.raft.replica.replica import Output
from raft_chaos.raft.server.node import Parts
from raft_chaos.raft.state.messages import Record
from raft_chaos.raft.storage.disk import MemoryDisk
from raft_chaos.raft.storage.framing import DamagedRecordError, unframe
from raft_chaos.raft.storage.journal import ClockChanged, JournalError, Start, Turn, digest_of, read_journal
from raft_chaos.raft.storage.wal import FILE, IDENTITY, MAGIC, Identity

_decode_records = msgspec.msgpack.Decoder(list[Record]).decode


@dataclass(frozen=True)
class Recorded:
    """What is left of an incarnation. `log` is the node's log file as it was at the end of the run."""

    node: str
    incarnation: int
    journal: Path
    events: Path
    log: Path
    log_bytes: bytes


@dataclass
class ReplayedTurn:
    """One turn: what was recorded of it, and what it came to now: an output, or the error that the node died of."""

    number: int
    recorded: Turn
    report: StepReport | None = None
    output: Output | None = None
    digest: bytes = b""
    error: Exception | None = None
    lines: list[bytes] = field(default_factory=list)


class _LastOutput:
    """Keeps what the node says of its last turn."""

    def __init__(self) -> None:
        self.output: Output | None = None
        self.digest = b""

    def start(self, start: Start) -> None:
        """Nothing new: the replay starts it, gives it its inputs and changes its clock."""

    def took(self, given: Input, /) -> None:
        """Nothing new."""

    def acted(self, output: Output, at_us: int, unsent: Sequence[int], stopped_at: str | None) -> None:
        self.output = copy(output)  # its times are converted later, in place
        self.digest = digest_of(output)

    def clock_changed(self, now_us: int, rate_ppm: int, jump_us: int) -> None:
        """Nothing new."""


class Incarnation:
    """`turns` lives it. Raises ReplayError where a file cannot be used."""

    def __init__(self, recorded: Recorded, parts: Parts) -> None:
        self.recorded = recorded
        self.node: SteppedNode | None = None
        self.difference: Difference | None = None
        self.start: Start | None = None
        self._parts = parts
        self._observer = _LastOutput()
        self._file = recorded.events.read_bytes() if recorded.events.exists() else b""
        self._compared = 0
        self._short: ReplayedTurn | None = None  # the turn whose events the file has not, or not all of them

    def turns(self) -> Iterator[ReplayedTurn]:
        """Each turn that comes to the same; ends at the first that does not, which is in `difference` then."""
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
                f"{self.recorded.journal}: ends before {self.recorded.events.name} does; a journal is written first, "
                "so this one was cut short, or is another node's"
            )

    @property
    def events(self) -> int:
        """How many of its events were found equal."""
        return self._file.count(b"\n", 0, self._compared)

    def written(self) -> bytes:
        """Its log as it wrote it, synced or not."""
        return self.node.disk.read(FILE) if self.node is not None else b""

    # ---- living ---------------------------------------------------------------------------------------------------

    def _records(self) -> Iterator[Turn]:
        """Its turns; changes of its clock are made in between."""
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
        """Raises ReplayError if this is another's journal, or if the log does not hold what was recovered from it."""
        recorded = self.recorded
        if (start.node, start.incarnation) != (recorded.node, recorded.incarnation):
            raise ReplayError(f"{recorded.journal}: the journal of {start.node}, incarnation {start.incarnation}")
        log = recorded.log_bytes[: start.log_size]
        intact = len(MAGIC)
        if log[:intact] != MAGIC:
            raise ReplayError(f"{recorded.log}, offset 0: no write-ahead log (expected {MAGIC!r})")
        try:
            for _, end in unframe(log, intact, _decode_records):
                intact = end
        except DamagedRecordError as error:
            raise ReplayError(f"{recorded.log}, offset {error.offset}: {error}") from None
        if intact < start.log_size:
            raise ReplayError(
                f"{recorded.log}, offset {intact}: no intact record, but {recorded.node} recovered {start.log_size} "
                f"bytes for its incarnation {recorded.incarnation}"
            )

    def _replay(self, number: int, recorded: Turn) -> ReplayedTurn:
        turn = ReplayedTurn(number, recorded)
        if self.node is None and recorded.inputs:
            raise ReplayError(f"{self.recorded.journal}: the first turn is no start; it has inputs")
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
        disk.append(FILE, self.recorded.log_bytes[: start.log_size])
        config = StepConfig(
            start.cluster, start.node, start.peers, start.incarnation, start.timing, start.seed, start.clock
        )
        self.node = SteppedNode(config, self._parts, disk, recorded.at_us, self._observer)
        return self.node.first

    def _step(self, node: SteppedNode, recorded: Turn) -> StepReport:
        inputs = [(given, None) for given in recorded.inputs]
        failpoint = cast(Failpoint | None, recorded.stopped_at)
        return node.turn(inputs, recorded.at_us, failpoint, set(recorded.unsent))

    def _received(self, recorded: Turn) -> list[bytes]:
        """What a node that dies in a turn may still have reported: what it received."""
        if self.node is None:
            return []
        given = [given for given in recorded.inputs if isinstance(given, Received)]
        return [encode(self.node.received(one, recorded.at_us)) for one in given]

    # ---- comparing ------------------------------------------------------------------------------------------------

    def _compare(self, turn: ReplayedTurn) -> Difference | None:
        if self._short is not None:
            return self.differs(self._short, "the recorded node reported less, and went on", now=self._short.lines[-1])
        died_then = not turn.recorded.digest
        if turn.error is not None and not died_then:
            return self.differs(turn, f"the node dies now: {type(turn.error).__name__}: {turn.error}")
        if turn.error is None and died_then:
            return self.differs(turn, "the recorded node died of an error here, and now it goes on")
        difference = self._compare_events(turn)
        if difference is None and turn.digest != turn.recorded.digest:
            return self.differs(turn, "the outputs differ, though all that is reported now was recorded too")
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
        raise AssertionError("the bytes differ, so a line does")

    def _line(self) -> bytes:
        """The recorded line that is to be compared next."""
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
    """The differing fields of two events; none where there are not two, or the recorded one is damaged."""
    then, event = _event(recorded), _event(now)
    return differing(then, event) if then is not None and event is not None else {}


def _event(line: bytes | None) -> AnyEvent | None:
    try:
        return decode(line) if line is not None else None
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
