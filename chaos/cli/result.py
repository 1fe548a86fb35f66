"""What a command ends with, and the one place that prints it."""

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
    """What a command found. To stdout goes the page for a person or, with --json, the document for a script.

    `notes` are for a person in any case, and go to stderr after it.
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
    """Prints until all is said or nobody reads any more (`| head`), which is no error."""
    try:
        for text in lines:
            print(text)
        sys.stdout.flush()
    except BrokenPipeError:
        # What is still in the buffer would be flushed when Python ends, and fail once more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
