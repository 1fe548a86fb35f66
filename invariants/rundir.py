"""A run directory: which files hold the data of one run, and how to read them.

    run.json                        RunInfo: seed, configuration, versions, commit; at the end the verdicts, the numbers
                                    and the seal (invariants.seal)
    schedule.jsonl                  the faults and client operations that the run executed
    history.jsonl                   client operations (invariants.history), one per line, in the order the clients saw
                                    them: invoke, then ok, fail (certainly did not happen) or info (unknown)
    harness.jsonl                   the harness's own events (invariants.events)
    nodes/<id>/events-<inc>.jsonl   by incarnation, 0001 first: the events that the node reported, in its own order
    nodes/<id>/journal-<inc>        by incarnation: its inputs and a digest of each output, for `raft-chaos replay`; not
                                    in the world sim, and not for a system that keeps no journal
    nodes/<id>/stderr.log           the node's stderr, all incarnations
    nodes/<id>/data/                the node's data folder
    nodes/<id>/undamaged.wal        its log as it was before a fault damaged it
    order                           in sim and lockstep, the order in which the scheduler made the lines of all files
    reserve                         until the run ends: space that run.json gets if the disk becomes full
    secrets/                        until the run ends: the secret of its nodes, in a run with one
    traceback.log                   if the harness failed: where
    report.html, report.txt, report.md, report.json, junit.xml   the reports
    reproduction.json               what `raft-chaos shrink` made of the run
    explain.html, explain.svg, causality.html   what `raft-chaos explain` made of it

The directory is written before and during the run, so a run whose controller was killed can still be judged.

A stream is the content of one file of events or operations: `harness`, `history`, or `n1/2` for the second incarnation
of n1. The lines of all streams in one order are the run's trace. A line of `order` names a stream and how many of its
lines come next ("n1/2 3"). Without that file, the streams are merged by time, and causes come before their effects
(invariants.causal_order).
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from heapq import merge
from io import BytesIO
from itertools import chain, islice
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias, TypeVar

import msgspec

from raft_chaos.invariants import events, history
from raft_chaos.invariants.causal_order import causal_order
from raft_chaos.invariants.events import HARNESS, MALFORMED, AnyEvent
from raft_chaos.invariants.history import Op
from raft_chaos.invariants.pace import Pace
from raft_chaos.invariants.regular_file import read_regular
from raft_chaos.invariants.verdict import Outcome, Verdict

RUN_JSON_MOST = 64 << 20
"""The largest run.json (bytes) that is read."""
RESERVE_BYTES = 1 << 18
"""More than run.json ever needs."""

RUN_SCHEMA = 3
"""The version of run.json, events, history and order in a run directory; a schedule and a journal carry their own.

In version 1 the log of every node began at index 1; a reader of that version would take one that begins behind a
snapshot (§7) for a violation. In version 2 all nodes voted, always; a reader of that version would count the wrong
majority where members change (§6)."""


class SealedFile(msgspec.Struct, frozen=True):
    """An evidence file as it was when the run ended (`invariants.seal`): its size in bytes, its SHA-256 in hex."""

    size: int
    sha256: str


class RunInfo(msgspec.Struct, kw_only=True, omit_defaults=False):
    """run.json. `state` is "running" until the controller has finished its analysis, then "finished". It is "failed" if
    the harness itself failed; then `vacuous` says why, and nothing of the run counts.

    `reports_events`: whether the target's nodes write event files. `can` are the abilities that it declares, and those
    of the network between its nodes; empty for our own Raft. `pace` is that of our own Raft, None for another system
    and in a file of an earlier version.

    `algorithm` is that of our own nodes (`raft.core.ALGORITHM`), 1 in a file that does not say. `config` is the full
    configuration of the run as plain JSON, `stats` its numbers, `vacuous` the reasons why the run proves nothing,
    `repro` the command that repeats it. `verdict` is None while the run is in progress.
    `trace_sha256` is the SHA-256 of the trace's lines (hexadecimal) in sim and lockstep, otherwise "".
    `evidence` is the seal: the evidence files by their path in the directory. It is None before the end of the run.
    `sha256` is the digest of everything else in run.json, whenever it was written; "" in one of an earlier version.
    """

    schema: int = RUN_SCHEMA
    seed: int
    world: str = "live"
    target: str = "raft"
    reports_events: bool = True
    can: list[str] = []
    pace: Pace | None = None
    algorithm: int = 1
    mutant: str | None = None
    state: str = "running"
    started_at: str = ""
    commit: str | None = None
    versions: dict[str, str] = {}
    nodes: list[str] = []
    config: dict[str, Any] = {}
    verdict: Outcome | None = None
    invariants: list[Verdict] = []
    vacuous: list[str] = []
    stats: dict[str, float | int | str] = {}
    repro: str = ""
    trace_sha256: str = ""
    evidence: dict[str, SealedFile] | None = None
    sha256: str = ""


def content_sha256(content: Mapping[str, Any]) -> str:
    """The digest of a run.json: of its content as JSON in one line, without the field `sha256`."""
    rest = {name: value for name, value in content.items() if name != "sha256"}
    return hashlib.sha256(msgspec.json.encode(rest)).hexdigest()


class RunDirError(Exception):
    """The directory cannot be read as a run. The message names the file, the line, and what was expected."""


class TraceItem(NamedTuple):
    """One line of a trace: its stream, its event or operation, and its bytes as in the file, newline included."""

    stream: str
    event: AnyEvent | Op
    line: bytes


@dataclass(frozen=True)
class RunDir:
    """The paths of one run directory."""

    path: Path

    @property
    def run_json(self) -> Path:
        return self.path / "run.json"

    @property
    def schedule(self) -> Path:
        return self.path / "schedule.jsonl"

    @property
    def history(self) -> Path:
        return self.path / "history.jsonl"

    @property
    def harness(self) -> Path:
        return self.path / "harness.jsonl"

    @property
    def order(self) -> Path:
        return self.path / "order"

    @property
    def reserve(self) -> Path:
        return self.path / "reserve"

    @property
    def secrets(self) -> Path:
        return self.path / "secrets"

    def node(self, node: str) -> Path:
        return self.path / "nodes" / node

    def node_events(self, node: str, inc: int) -> Path:
        return self.node(node) / f"events-{inc:04d}.jsonl"

    def node_journal(self, node: str, inc: int) -> Path:
        return self.node(node) / f"journal-{inc:04d}"

    def node_undamaged(self, node: str) -> Path:
        return self.node(node) / "undamaged.wal"

    # ---- writing run.json ----

    def make_reserve(self) -> None:
        """Takes some space on the disk, so that a run that fills it can still say in run.json how it ended."""
        self.reserve.write_bytes(bytes(RESERVE_BYTES))

    def save_info(self, info: RunInfo) -> None:
        """Replaces run.json atomically, so that a reader never sees half of it. On a full disk it uses the reserve."""
        content = _json_object.decode(msgspec.json.encode(info))
        content["sha256"] = content_sha256(content)
        raw = msgspec.json.format(msgspec.json.encode(content), indent=2) + b"\n"
        staged = self.run_json.with_suffix(".json.new")
        try:
            staged.write_bytes(raw)
        except OSError:
            self.reserve.unlink()  # raises if it was used already
            staged.write_bytes(raw)
        staged.replace(self.run_json)

    # ---- reading ----

    def load_info(self) -> RunInfo:
        """Reads run.json. Raises RunDirError if it is missing, damaged, or of a newer schema."""
        try:
            info = msgspec.json.decode(self._raw_info(), type=RunInfo)
        except MALFORMED as error:
            raise RunDirError(f"{self.run_json}: {error}") from None
        if info.schema > RUN_SCHEMA:
            raise RunDirError(
                f"{self.run_json}: schema {info.schema} is newer than {RUN_SCHEMA}, the newest that this version reads"
            )
        return info

    def content(self) -> dict[str, Any]:
        """run.json as plain JSON, with fields that this version does not know. Raises RunDirError."""
        try:
            return _json_object.decode(self._raw_info())
        except MALFORMED as error:
            raise RunDirError(f"{self.run_json}: {error}") from None

    def _raw_info(self) -> bytes:
        try:
            return read_regular(self.run_json, RUN_JSON_MOST)
        except OSError as error:
            raise RunDirError(
                f"{self.path} is not a run directory: cannot read {self.run_json.name} ({error.strerror})"
            ) from None

    def node_streams(self) -> list[list[AnyEvent]]:
        """One list per node: the events of its incarnations, one incarnation after the other, in the node's own order.

        Where there is an `order`, these are the events that it counts, as in `harness_events` and `operations`. A
        controller that was killed has written some lines of some files after that, and not what led to them.

        Raises RunDirError for a file that cannot be read, and for a line of another node or incarnation.
        """
        streams: list[list[AnyEvent]] = []
        counted = self.counted()
        for node, files in self.event_files().items():
            stream = [
                event
                for inc, file in files
                for event in islice(_decoded(file, _own(node, inc)), _most(counted, f"{node}/{inc}"))
            ]
            if stream:
                streams.append(stream)
        return streams

    def harness_events(self) -> list[AnyEvent]:
        return list(islice(_decoded(self.harness, events.decode), _most(self.counted(), HARNESS)))

    def operations(self) -> list[Op]:
        return list(islice(_decoded(self.history, history.decode), _most(self.counted(), "history")))

    def counted(self) -> Counter[str]:
        """How many lines of each stream `order` takes; empty without that file."""
        counts: Counter[str] = Counter()
        for _, stream, count in _order_lines(self.order):
            counts[stream] += count
        return counts

    def schedule_lines(self) -> list[dict[str, Any]]:
        """The schedule as plain JSON objects: its types belong to `chaos`, which this package does not know."""
        return list(_decoded(self.schedule, _json_object.decode))

    def merged(self, harness: Sequence[AnyEvent], streams: Sequence[Sequence[AnyEvent]]) -> Iterator[AnyEvent]:
        """The events of `harness_events` and `node_streams` in one order: as they happened where `order` says so, and
        the rest by time. Each stream keeps its own order in any case."""
        rest = {HARNESS: iter(harness)} | {stream[0].node: iter(stream) for stream in streams}
        for _, name, count in _order_lines(self.order):
            yield from islice(rest.get(name.split("/")[0], iter(())), count)
        yield from merge(*rest.values(), key=lambda event: event.t_us)

    def trace(self) -> Iterator[TraceItem]:
        """All lines of the run, in the order in which the scheduler made them, or merged by time without that order.

        The merge by time keeps each node's own order, and the clients', whatever the times are, and puts each cause
        before its effect. Lines that a killed controller wrote but did not enter into `order` come last. While it is
        read, the iterator raises RunDirError for a file that cannot be read and for an order that does not fit the
        files.
        """
        groups = [
            [_Stream("harness", self.harness, events.decode)],
            *(
                [_Stream(f"{node}/{inc}", file, _own(node, inc)) for inc, file in files]
                for node, files in self.event_files().items()
            ),
            [_Stream("history", self.history, history.decode)],
        ]
        streams = {stream.name: stream for group in groups for stream in group}
        for place, name, count in _order_lines(self.order):
            if name not in streams:
                raise RunDirError(f"{place}: names the stream {name}; there are {', '.join(streams)}")
            yield from streams[name].take(count, place)
        rest = [chain.from_iterable(stream.rest() for stream in group) for group in groups]
        items = list(merge(*rest, key=lambda item: item.event.t_us))
        yield from (items[place] for place in causal_order([item.event for item in items]))

    def event_files(self) -> dict[str, list[tuple[int, Path]]]:
        """For each node, its incarnations and their files of events."""
        return dict(self._incarnations(_EVENTS_FILE))

    def journals(self) -> dict[str, list[tuple[int, Path]]]:
        """For each node with journals, its incarnations and their journals."""
        return {node: files for node, files in self._incarnations(_JOURNAL_FILE) if files}

    def _incarnations(self, kind: re.Pattern[str]) -> list[tuple[str, list[tuple[int, Path]]]]:
        """For each node, its incarnations and their files that match `kind`."""
        return [
            (folder.name, sorted((int(m[1]), f) for f in folder.iterdir() if (m := kind.fullmatch(f.name))))
            for folder in sorted(path for path in (self.path / "nodes").glob("*") if path.is_dir())
        ]


def _most(counted: Counter[str], stream: str) -> int | None:
    """How many lines of a stream are judged: as many as were counted, or all (None) if none were counted at all."""
    return counted[stream] if counted else None


_T = TypeVar("_T")
_Decode: TypeAlias = Callable[[bytes], _T]

_EVENTS_FILE = re.compile(r"events-(\d+)\.jsonl")
_JOURNAL_FILE = re.compile(r"journal-(\d+)")
_ORDER_LINE = re.compile(r"(\S+) ([1-9]\d{0,17})\n", re.ASCII)
_json_object = msgspec.json.Decoder(dict[str, Any])


class _Stream:
    """The lines of one file; each is taken once. A file that does not exist has no lines."""

    def __init__(self, name: str, file: Path, decode: _Decode[AnyEvent] | _Decode[Op]) -> None:
        self.name = name
        self._file = file
        self._decode = decode
        self._lines = _numbered_lines(file)

    def take(self, count: int, place: str) -> Iterator[TraceItem]:
        """The next `count` lines, which the order asks for at `place`. Raises RunDirError if there are fewer."""
        lines = list(islice(self._lines, count))
        if len(lines) < count:
            raise RunDirError(f"{place}: takes {count} from {self.name}, but {self._file} has only {len(lines)} left")
        return self._items(lines)

    def rest(self) -> Iterator[TraceItem]:
        """The lines that were not taken."""
        return self._items(self._lines)

    def _items(self, lines: Iterable[tuple[int, bytes]]) -> Iterator[TraceItem]:
        for number, line in lines:
            if line.endswith(b"\n"):
                yield TraceItem(self.name, _decode_line(self._file, number, line, self._decode), line)


def _order_lines(file: Path) -> Iterator[tuple[str, str, int]]:
    """For each line of the order: its file and line number, the stream, and how many lines of the stream come next."""
    for number, line in _numbered_lines(file):
        if not line.endswith(b"\n"):
            return
        match = _ORDER_LINE.fullmatch(text := line.decode(errors="replace"))
        if match is None:
            raise RunDirError(f"{file}:{number}: expected a stream and a count, such as n1/2 3, got {text.rstrip()!r}")
        yield f"{file}:{number}", match[1], int(match[2])


def _own(node: str, inc: int) -> _Decode[AnyEvent]:
    """A decoder for that incarnation's file. It refuses events of another node or incarnation."""

    def decode(line: bytes) -> AnyEvent:
        event = events.decode(line)
        if (event.node, event.inc) != (node, inc):
            raise msgspec.ValidationError(
                f"an event of {event.node}, incarnation {event.inc}; this file is that of {node}, incarnation {inc}"
            )
        return event

    return decode


def _decoded(file: Path, decode: _Decode[_T]) -> Iterator[_T]:
    """The decoded lines of a file. A last line without a newline was torn by a kill and is left out."""
    for number, line in _numbered_lines(file):
        if line.endswith(b"\n"):
            yield _decode_line(file, number, line, decode)


def _decode_line(file: Path, number: int, line: bytes, decode: _Decode[_T]) -> _T:
    try:
        return decode(line)
    except MALFORMED as error:
        raise RunDirError(f"{file}:{number}: {error}") from None


def _numbered_lines(file: Path) -> Iterator[tuple[int, bytes]]:
    """The lines of a file with their numbers, from 1. Each has its newline, except a torn last line."""
    if not file.exists():
        return
    try:
        raw = read_regular(file)
    except OSError as error:
        raise RunDirError(f"{file}: cannot be read ({error.strerror})") from None
    yield from enumerate(BytesIO(raw), 1)
