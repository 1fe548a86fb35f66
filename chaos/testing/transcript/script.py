"""Transcript files: commands to a hand-driven cluster, each with its output.

    # Comments, for readers.
    cluster n1 n2 n3
    stand n1
    ----
    the output of the commands above, up to a blank line

A block is one or more command lines (`commands`), then `----`, then the output up to a blank line. A line
that begins with a blank continues the command above it. A replay runs the commands and compares their output with the
file:

    python -m raft_chaos.chaos.testing.transcript.script FILE ... [--rewrite]

The format follows etcd's datadriven tests.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from difflib import unified_diff
from pathlib import Path
from typing import NamedTuple, NoReturn

from raft_chaos.chaos.testing.transcript.commands import CommandError, Commands
from raft_chaos.invariants.verdict import EXIT_USAGE, EXIT_VALID, EXIT_VIOLATED

SEPARATOR = "----"


class Replay(NamedTuple):
    """The text with the current output, and the mistakes: lines (from 1) with invalid commands, and what is wrong."""

    text: str
    mistakes: list[tuple[int, str]]


def replay(text: str) -> Replay:
    """Runs all commands of a transcript and replaces their output. Other lines stay unchanged."""
    commands = Commands()
    lines: list[str] = []
    mistakes: list[tuple[int, str]] = []
    block: list[tuple[int, str]] = []  # commands without their output so far
    in_output = False
    for number, line in enumerate([*text.rstrip("\n").split("\n"), ""], 1):
        if in_output and line.strip():
            continue  # the old output
        in_output = False
        lines.append(line)
        if line.rstrip() == SEPARATOR:
            for at, command in block:
                try:
                    lines += commands.do(command)
                except CommandError as error:
                    lines.append(f"error: {error}")
                    mistakes.append((at, str(error)))
            block, in_output = [], True
        elif line.startswith((" ", "\t")) and line.strip() and block:
            block[-1] = (block[-1][0], f"{block[-1][1]} {line.strip()}")
        elif line.strip() and not line.startswith("#"):
            block.append((number, line.strip()))
        elif block and not line.strip():
            mistakes.append((block[-1][0], f"expected {SEPARATOR} after this command; it was not run"))
            block = []
    return Replay("\n".join(lines), mistakes)


def check(path: Path, *, rewrite: bool = False) -> list[str]:
    """Checks a transcript file: returns its mistakes with file and line, and a diff to the current output.

    With `rewrite`, a file without mistakes gets the current output. Raises OSError or UnicodeDecodeError.
    """
    text = path.read_text(encoding="utf-8")
    now = replay(text)
    wrong = [f"{path}:{line}: {what}" for line, what in now.mistakes]
    if now.text == text:
        return wrong
    if rewrite and not wrong:
        path.write_text(now.text, encoding="utf-8")
        return []
    diff = unified_diff(text.splitlines(), now.text.splitlines(), str(path), "current output", lineterm="")
    return [*wrong, *diff]


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(EXIT_USAGE, f"{self.format_usage()}{self.prog}: {message}\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0: all files have the current output; 1: one does not; 254: one cannot be read or written."""
    parser = _Parser(
        prog="python -m raft_chaos.chaos.testing.transcript.script",
        description="Replays transcripts of a hand-driven Raft cluster.",
    )
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
    parser.add_argument("--rewrite", action="store_true", help="write the current output into the files")
    options = parser.parse_args(arguments)
    code = EXIT_VALID
    for path in options.files:
        try:
            wrong = check(path, rewrite=options.rewrite)
        except (OSError, UnicodeDecodeError) as error:
            sys.stderr.write(f"{path}: cannot be used as a transcript: {error}\n")
            return EXIT_USAGE
        if wrong:
            code = EXIT_VIOLATED
            sys.stdout.write("\n".join(wrong) + "\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
