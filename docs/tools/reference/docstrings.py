"""Two pages that are tables in the docstrings of modules: the files of a run directory, and the exit codes."""

from __future__ import annotations

import re
from types import ModuleType

from docs.tools.reference.markdown import code, page, paragraphs, table
from raft_chaos.chaos.cli import ends
from raft_chaos.invariants import rundir

ROW = re.compile(r" {4}(\S.*?) {2,}(\S.*)")


def rows_of(module: ModuleType) -> list[list[str]]:
    """The indented table in a module's docstring. What is indented further belongs to the line above."""
    rows: list[list[str]] = []
    for line in (module.__doc__ or "").splitlines():
        if row := ROW.fullmatch(line):
            rows.append([row[1], row[2]])
        elif line.startswith(" " * 8) and rows:
            rows[-1][1] += f" {line.strip()}"
    return rows


def files() -> str:
    rows = [[", ".join(map(code, name.split(", "))), holds] for name, holds in rows_of(rundir)]
    purpose = (
        "The files of a run directory. [The run directory](../run-directory.md) says how to find one, and the seal."
    )
    return page("Files", purpose, "invariants/rundir.py", table(["file", "holds"], rows), *paragraphs(rundir)[2:])


def exit_codes() -> str:
    rows = [[code(number), meaning] for number, meaning in rows_of(ends)]
    after = (
        "A known violation is 1, even if the command is interrupted afterwards, or if nobody reads its result. A "
        "command that judges ends with its verdict's code also if the reader of stdout has gone (`| head`). `cluster` "
        "and `node` run until a signal, and then end with 0. A node that cannot use its folder or its files ends with "
        "78, one whose disk fails with 74, one whose machine has run out of something with 75, and one with an error "
        "of its own with 70."
    )
    purpose = "With which code each command ends. [Verdicts](../verdicts.md#a-command-that-is-interrupted) says more."
    return page("Exit codes", purpose, "chaos/cli/ends.py", table(["code", "meaning"], rows), after)
