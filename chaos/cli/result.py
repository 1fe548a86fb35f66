"""The result of a command, and the only place that prints it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass

import typer

from raft_chaos.chaos.cli.common import say
from raft_chaos.invariants.verdict import EXIT_VALID
from raft_chaos.reports.formats.json import dumps


@dataclass(frozen=True)
class Result:
    """The result of a command. The page for people or, with --json, the document for scripts goes to stdout.

    `notes` are always for people, and go to stderr afterwards.
    """

    exit_code: int = EXIT_VALID
    page: Iterable[str] = ()
    document: object = None
    as_json: bool = False
    notes: Iterable[str] = ()


def show(result: Result) -> None:
    """Prints a command's result and ends with its exit code."""
    _print_lines([dumps(result.document).removesuffix("\n")] if result.as_json else result.page)
    for note in result.notes:
        say(note)
    raise typer.Exit(result.exit_code)


def _print_lines(lines: Iterable[str]) -> None:
    """Prints all lines. A reader that closes the pipe (`| head`) is no error."""
    try:
        for text in lines:
            print(text)
        sys.stdout.flush()
    except BrokenPipeError:
        # Python flushes the rest of the buffer when it ends, which would fail once more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
