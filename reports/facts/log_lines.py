"""The lines that a node wrote around a moment, by the times that they carry, or else its last lines.

Programs write times in many ways. Understood are dates with a time of day, as in ISO 8601 and in Go's logs, with or
without a zone (without one it is that of this machine), and seconds since 1970, first in a line or in a JSON field such
as "ts".
"""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import msgspec

from raft_chaos.reports.text import visible_lines

MOST_BYTES = 1 << 20
"""The end of a log that is read."""
WITHIN = timedelta(seconds=2)
"""A run's beginning is known to the second, so a moment is no more exact than that."""
MOST_LINES = 8
LONGEST = 240
"""The characters of a line that are shown."""

_DATE = re.compile(
    r"(\d{4})[-/](\d\d)[-/](\d\d)[T ](\d\d):(\d\d):(\d\d)(?:[.,](\d{1,9}))?\d* ?(Z|UTC|[+-]\d\d:?\d\d)?", re.ASCII
)
_SECONDS = re.compile(r'(?:^\W?|"(?:ts|time|timestamp)" ?: ?"?)(1\d{9}(?:\.\d{1,9})?)\b', re.ASCII)


class LogLines(msgspec.Struct, frozen=True):
    """The lines of a node that are nearest to the moment, in order. `timed`: they carry times; if not, they are the
    last ones of all, whenever they were written. `earlier`: none was written near the moment, so they are older."""

    node: str
    file: str
    lines: list[str]
    timed: bool
    earlier: bool = False


def log_lines(node: str, file: Path, at: datetime) -> LogLines | None:
    """Those of the file around `at`; None if it has no line."""
    lines = [_cut(line) for line in visible_lines(_end_of(file))]
    if not lines:
        return None
    times = _times(lines)
    if all(time is None for time in times):
        return LogLines(node, file.name, lines[-MOST_LINES:], timed=False)
    until = [line for line, time in zip(lines, times, strict=True) if time is not None and time <= at + WITHIN]
    off = {n: abs(time - at) for n, time in enumerate(times) if time is not None and abs(time - at) <= WITHIN}
    if off:
        nearest = sorted(off, key=lambda n: off[n])[:MOST_LINES]
        return LogLines(node, file.name, [lines[n] for n in sorted(nearest)], timed=True)
    return LogLines(node, file.name, until[-2:], timed=True, earlier=True) if until else None


def _cut(line: str) -> str:
    return line if len(line) <= LONGEST else f"{line[:LONGEST]} ..."


def line_time(line: str) -> datetime | None:
    """The first time in the line (which is not longer than `LONGEST`); None if there is none."""
    if match := _DATE.search(line):
        year, month, day, hour, minute, second, fraction, zone = match.groups()
        text = f"{year}-{month}-{day}T{hour}:{minute}:{second}.{(fraction or '').ljust(6, '0')[:6]}"
        try:
            then = datetime.fromisoformat(text)
            return then.replace(tzinfo=_zone(zone)) if zone else then.astimezone()
        except (ValueError, OverflowError, OSError):
            return None
    if match := _SECONDS.search(line):
        return datetime.fromtimestamp(float(match[1]), UTC)
    return None


def _zone(name: str) -> timezone:
    if name in ("Z", "UTC"):
        return UTC
    minutes = int(name[1:3]) * 60 + int(name[-2:])
    return timezone(timedelta(minutes=-minutes if name[0] == "-" else minutes))


def _times(lines: list[str]) -> list[datetime | None]:
    """A line without a time, such as one of a traceback, is of the time of the line before."""
    times: list[datetime | None] = []
    for line in lines:
        times.append(line_time(line) or (times[-1] if times else None))
    return times


def _end_of(file: Path) -> str:
    """The end of a file, which may be huge; "" if there is none."""
    try:
        with file.open("rb") as opened:
            opened.seek(max(0, opened.seek(0, os.SEEK_END) - MOST_BYTES))
            return opened.read(MOST_BYTES).decode(errors="replace")
    except OSError:
        return ""
