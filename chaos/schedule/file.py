"""A schedule as a file of JSON lines: the header, faults, operations.

`load` refuses an invalid schedule, with file and line.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from pathlib import Path

import msgspec

from raft_chaos.chaos.schedule.check import check_damaged, check_fault, check_header, check_leases, check_operation
from raft_chaos.chaos.schedule.data import SCHEDULE_SCHEMA, Entry, Fault, Header, Operation, Schedule, ScheduleError
from raft_chaos.invariants.events import MALFORMED
from raft_chaos.invariants.regular_file import read_regular

_encoder = msgspec.json.Encoder()


@cache
def _decoder() -> msgspec.json.Decoder[Entry]:
    """Made when the first file is read: it has a table of every kind of fault, and most runs read no schedule."""
    return msgspec.json.Decoder(Entry)


class _FirstLine(msgspec.Struct):
    """The fields of every version's header: enough to refuse a newer version before reading its other fields."""

    kind: str = ""
    schema: int = 0


def save(schedule: Schedule, file: Path) -> None:
    """Writes the schedule as JSON lines: header, faults, operations."""
    lines: Iterable[Entry] = [schedule.header, *schedule.faults, *schedule.operations]
    file.write_bytes(b"".join(_encoder.encode(line) + b"\n" for line in lines))


def load(file: Path) -> Schedule:
    """The schedule of a file: faults in the order of their ids, operations in the order of time.

    Raises ScheduleError for a file that cannot be read, and for the first invalid line.
    """
    try:
        lines = read_regular(file).splitlines()
    except OSError as error:
        raise ScheduleError(f"{file}: cannot be read ({error.strerror}); expected a schedule as JSON lines") from None
    header: Header | None = None
    faults: dict[str, Fault] = {}
    operations: dict[str, Operation] = {}
    for number, line in enumerate(lines or [b""], 1):
        try:
            if header is None:
                header = _header(line)
            else:
                _add_entry(line, header, faults, operations)
        except (ScheduleError, *MALFORMED) as error:
            raise ScheduleError(f"{file}:{number}: {error}") from None
    assert header is not None
    try:
        check_damaged(faults.values(), header.nodes)
        check_leases(list(faults.values()), operations.values())
    except ScheduleError as error:
        raise ScheduleError(f"{file}: {error}") from None
    return Schedule(
        header=header,
        faults=sorted(faults.values(), key=lambda fault: fault.id),
        operations=sorted(operations.values(), key=lambda operation: operation.at_us),
    )


def _add_entry(line: bytes, header: Header, faults: dict[str, Fault], operations: dict[str, Operation]) -> None:
    entry = _decoder().decode(line)
    if isinstance(entry, Header):
        raise ScheduleError("a second header; expected faults and operations after the first line")
    if entry.id in faults or entry.id in operations:
        raise ScheduleError(f"id {entry.id!r} is taken by an earlier line; expected one of its own")
    if isinstance(entry, Fault):
        check_fault(entry, header, faults)
        faults[entry.id] = entry
    else:
        check_operation(entry, header)
        operations[entry.id] = entry


def _header(line: bytes) -> Header:
    first = msgspec.json.decode(line, type=_FirstLine) if line else _FirstLine()
    if first.kind != "schedule":
        raise ScheduleError('no header; expected the first line to be an object with "kind": "schedule"')
    if first.schema > SCHEDULE_SCHEMA:
        raise ScheduleError(
            f"schema {first.schema} is newer than {SCHEDULE_SCHEMA}, the newest that this version reads"
        )
    header = msgspec.json.decode(line, type=Header)
    check_header(header)
    return header
