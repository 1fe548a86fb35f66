"""Transcripts: a file of commands to a hand-driven cluster, each with what the cluster says to it.

    # Prose, for whoever reads.
    cluster n1 n2 n3
    stand n1
    ----
    what the commands above said, until a blank line

A block is one or more command lines (`commands`), then `----`, then the output until a blank line. A line
that begins with a blank continues the command above it. To replay a file is to write it again with the output that
comes now; the file is right if nothing changed. This does it:

    python -m raft_chaos.chaos.testing.transcript.script FILE ... [--rewrite]

The form is that of etcd's datadriven tests.
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
    """The text with the output of now, and the lines (from 1) that were no commands, with what is wrong with them."""

    text: str
    mistakes: list[tuple[int, str]]


def replay(text: str) -> Replay:
    """Carries out all commands of a transcript. What is not output stays as it is."""
    commands = Commands()
    lines: list[str] = []
    mistakes: list[tuple[int, str]] = []
    block: list[tuple[int, str]] = []  # commands without their output so far
    in_output = False
    for number, line in enumerate([*text.rstrip("\n").split("\n"), ""], 1):
        if in_output and line.strip():
            continue  # the output of then
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
            mistakes.append((block[-1][0], f"no {SEPARATOR} after this command, so nothing was done"))
            block = []
    return Replay("\n".join(lines), mistakes)


def check(path: Path, *, rewrite: bool = False) -> list[str]:
    """What is wrong with a transcript file: mistakes with file and line, and a diff to what comes now.

    With `rewrite` a file without mistakes gets the output of now. Raises OSError or UnicodeDecodeError.
    """
    text = path.read_text(encoding="utf-8")
    now = replay(text)
    wrong = [f"{path}:{line}: {what}" for line, what in now.mistakes]
    if now.text == text:
        return wrong
    if rewrite and not wrong:
        path.write_text(now.text, encoding="utf-8")
        return []
    diff = unified_diff(text.splitlines(), now.text.splitlines(), str(path), "what comes now", lineterm="")
    return [*wrong, *diff]


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(EXIT_USAGE, f"{self.format_usage()}{self.prog}: {message}\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """0: all files say what comes now; 1: one does not; 254: one cannot be read or written."""
    parser = _Parser(
        prog="python -m raft_chaos.chaos.testing.transcript.script",
        description="Replays transcripts of a hand-driven Raft cluster.",
    )
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
    parser.add_argument("--rewrite", action="store_true", help="write what comes now into the files")
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
