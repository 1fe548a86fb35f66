"""Makes text safe to print: every text from a run passes through here first.

A message may contain anything that a node wrote to stderr or a client wrote as a value. `visible` replaces characters
that could move the cursor, reverse the line, split a table's row or break an XML document (Unicode calls all of them
not printable) with escapes that show them.
"""

from __future__ import annotations

import re
import textwrap

import msgspec

UNSEALED = (
    "UNSEALED: run.json does not list the files as they were when the run ended, since its controller was killed or an "
    "earlier version made it. So not every damage to them can be seen."
)
NARROW, USUAL, WIDE = 40, 80, 200
"""The columns of a terminal: pages are made for any number from the first to the last."""
US_PER_S = 1_000_000
US_PER_MS = 1_000


def visible(text: str) -> str:
    """The text on one line: a character that is not printable becomes a backslash escape, a line end a blank."""
    joined = " ".join(text.splitlines())
    if joined.isprintable():
        return joined
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in joined)


def visible_lines(text: str) -> list[str]:
    """The lines of a text, each made visible; blanks at the end of a line and empty lines are left out."""
    lines = (visible(line).rstrip() for line in text.splitlines())
    return [line for line in lines if line]


def json_value(value: object) -> str:
    """A JSON value, compact and on one line."""
    return visible(msgspec.json.encode(value).decode())


def seconds(t_us: int | None) -> str:
    """A time in µs as seconds, to the millisecond: "12.345"; "" for None."""
    return "" if t_us is None else f"{t_us / US_PER_S:.3f}"


def moment(started_at: str) -> str:
    """A time of ISO 8601 for people: "2026-11-29 06:58:00 UTC"."""
    return visible(started_at).replace("T", " ").replace("+00:00", " UTC")


def milliseconds(duration_us: int | None) -> str:
    """A duration in µs as milliseconds: one decimal below 100 ("4.2"), none above ("1250"); "" for None."""
    if duration_us is None:
        return ""
    ms = duration_us / US_PER_MS
    return f"{ms:.1f}" if ms < 100 else f"{ms:.0f}"


def count(number: int, noun: str, plural: str = "") -> str:
    """ "1 node", "5 nodes"."""
    return f"{number} {noun}" if number == 1 else f"{number} {plural or noun + 's'}"


def size(size_bytes: int) -> str:
    """ "512 B", "3.4 kB", "12 MB"."""
    amount = float(size_bytes)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1000 or unit == "GB":
            return f"{amount:.1f} {unit}" if amount < 10 and unit != "B" else f"{amount:.0f} {unit}"
        amount /= 1000
    raise AssertionError


def prose(text: str, width: int, first: str = "", later: str = "") -> list[str]:
    """The text in lines of at most `width`; `first` and `later` begin its first line and the others.

    A word that is too long, such as a path, stays in one piece, so that it can be copied.
    """
    return textwrap.wrap(
        text, width, initial_indent=first, subsequent_indent=later, break_long_words=False, break_on_hyphens=False
    )


_MARKDOWN = re.compile(r"[\\`*\[\]<>|~&#$]|^[-+=]|(?<!\w)_|_(?!\w)")


def markdown(text: str) -> str:
    """The text on one line, escaped so that GitHub shows it unchanged. An underscore inside a word needs no escape."""
    return _MARKDOWN.sub(lambda match: "\\" + match[0], visible(text))


def fenced(lines: list[str], language: str = "text") -> list[str]:
    """The lines as a Markdown code block, fenced by more backticks than any of them holds."""
    longest = max((len(run) for line in lines for run in re.findall("`+", line)), default=0)
    fence = "`" * max(3, longest + 1)
    return [f"{fence}{language}", *lines, fence]
