"""The result of a command, and the only place that prints it."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NoReturn

import typer

from raft_chaos.chaos.cli import ends, streams
from raft_chaos.chaos.cli.common import say
from raft_chaos.invariants.verdict import EXIT_VALID, EXIT_VIOLATED


@dataclass(frozen=True)
class Result:
    """The result of a command. The page for people or, with --json, the document for scripts goes to stdout.

    `notes` are always for people, and go to stderr afterwards. `judged`: the exit code is a verdict that stands before
    anything is printed. `interrupted`: a signal ended the command before it had done all.
    """

    exit_code: int = EXIT_VALID
    page: Iterable[str] = ()
    document: object = None
    as_json: bool = False
    notes: Iterable[str] = ()
    judged: bool = False
    interrupted: bool = False


def show(result: Result) -> NoReturn:
    """Prints a command's result and ends with its exit code."""
    code = result.exit_code
    if result.judged and code == EXIT_VIOLATED:
        ends.violation_known()
    try:
        _print_lines([_json(result.document)] if result.as_json else result.page)
    except streams.LostOutputError as lost:
        code = ends.without_output(lost, code if result.judged else None)
    for note in result.notes:
        say(note)
    raise typer.Exit(ends.interrupted() if result.interrupted else code)


def print_now(line: str) -> None:
    """Prints one line of a page before the rest is known, for a command that takes long."""
    print(line, flush=True)


def _print_lines(lines: Iterable[str]) -> None:
    for text in lines:
        print(text)
    sys.stdout.flush()


def _json(document: object) -> str:
    """The document; in an encoding that lacks one of its characters, with JSON's escapes for all such."""
    from raft_chaos.reports.formats.json import dumps  # it takes as long as the rest of a small command

    text = dumps(document).removesuffix("\n")
    return text if streams.can_show(text) else json.dumps(json.loads(text), indent=2)
