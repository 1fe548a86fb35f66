"""Shared by the commands: parsing arguments, and reporting errors in them."""

from __future__ import annotations

import difflib
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import NoReturn

import typer

from raft_chaos.chaos.cli.phrases import plain
from raft_chaos.chaos.cli.width import columns
from raft_chaos.invariants.verdict import EXIT_USAGE

_places: dict[str, str] = {}


def come_from(places: dict[str, str]) -> None:
    """From now on a message that begins with one of these options also says where it stands."""
    _places.clear()
    _places.update(places)


def placed(message: str) -> str:
    """The message, with the place of the option that it begins with, if that does not stand on the command line."""
    option = re.match(r"--[a-z-]+", message)
    place = _places.get(option[0]) if option else None
    return f"{message} ({place})" if place else message


def fail(message: str) -> NoReturn:
    """Ends with exit code 254 and a message: what is wrong, where, what to do."""
    say(f"raft-chaos: {placed(plain(message))}")
    raise typer.Exit(EXIT_USAGE)


@contextmanager
def refusing() -> Iterator[None]:
    """Within the block, an option that cannot be used ends the command with exit code 254."""
    from raft_chaos.chaos.run.option import OptionError  # the help of all commands begins without it

    try:
        yield
    except OptionError as error:
        fail(error.on_the_command_line())


def close_to(name: str, known: Iterable[str]) -> str | None:
    """The known name that was probably meant; None if none is close."""
    return next(iter(difflib.get_close_matches(name, list(known), 1)), None)


def no_such(option: str, name: str, known: Iterable[str]) -> NoReturn:
    """Ends with exit code 254 for a name that does not exist, with the nearest one or with all that do."""
    known = list(known)
    near = close_to(name, known)
    hint = f"did you mean {near!r}?" if near else f"there are {', '.join(known)}"
    fail(f"{option}: there is no {name!r}; {hint}")


def say(text: str) -> None:
    """Prints a line for people to stderr. stdout is only for the requested document or table."""
    print(text, file=sys.stderr, flush=True)


def say_prose(text: str) -> None:
    """The same in lines that end between words, on a terminal; elsewhere it stays one line, which can be searched."""
    from raft_chaos.reports.text import prose  # most commands begin without it

    indent = " " * (len(text) - len(text.lstrip()))
    for line in prose(text.strip(), columns(), indent, f"{indent}    ") if sys.stderr.isatty() else [text]:
        say(line)


_SECONDS = {"s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}


def parse_duration_s(text: str, option: str, *, may_be_zero: bool = False) -> float:
    """ "90", "90s", "5m" and "4h" in seconds."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(s|m|min|h)?", text.strip())
    if match is None:
        fail(f"{option}: expected a time such as 60s or 5m, got {text!r}")
    if not float(match[1]) and not may_be_zero:
        fail(f"{option}: expected more than 0, got {text!r}")
    return float(match[1]) * _SECONDS[match[2] or "s"]


MOST_SEEDS = 10_000_000


def parse_seeds(text: str) -> list[int]:
    """ "7", "1..20" (both ends included), or several of these with commas."""
    seeds: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d{1,18})(?:\.\.(\d{1,18}))?\s*", part)
        if match is None:
            fail(f"--seeds: expected a seed or a range such as 1..20, got {part!r}")
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first:
            fail(f"--seeds: the range {part.strip()} is empty; its first seed must not be larger than its last")
        if len(seeds) + last - first >= MOST_SEEDS:
            fail(f"--seeds: expected at most {MOST_SEEDS} seeds at once, got {text!r}")
        seeds.extend(range(first, last + 1))
    return seeds


def parse_address(text: str, option: str) -> tuple[str, int]:
    """ "host:port"."""
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isdigit() or not 0 < int(port) < 65536:
        fail(f"{option}: expected host:port, got {text!r}")
    return host.strip("[]"), int(port)
