"""The application: each command is one function, in the module with its name; `commands` lists them.

A command returns a `Result`, which `show` prints. Bad arguments end the command earlier (`common.fail`).
"""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from raft_chaos.chaos.cli import ends, lazy
from raft_chaos.chaos.cli.commands import COMMANDS, COMPLETE
from raft_chaos.chaos.cli.result import show
from raft_chaos.chaos.processes.compiled import why_pure


class Commands(lazy.LazyGroup):
    """All commands."""

    listed = COMMANDS


app = typer.Typer(
    name="raft-chaos",
    cls=Commands,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    result_callback=show,
)


def _say_version(wanted: bool) -> None:
    if wanted:
        import platform  # these take as long as the rest of the help, and nothing else needs them
        from importlib.metadata import version

        compiled = "" if why_pure() else ", compiled"
        print(f"raft-chaos {version('raft-chaos')} (Python {platform.python_version()}{compiled})")
        raise typer.Exit


Version = Annotated[
    bool,
    typer.Option(
        "--version", "-v", callback=_say_version, is_eager=True, expose_value=False, help="Show the version and exit."
    ),
]


@app.callback()
def root(version: Version = False) -> None:
    """Breaks a real Raft cluster on purpose, checks Raft's safety properties meanwhile, and reproduces every failure
    from its seed."""


def main() -> int:
    """The command of `sys.argv`; returns its exit code, from the table in `ends`."""
    return ends.run(_invoke)


def _invoke() -> object:
    """Not `app()`, which turns any broken pipe into exit code 1, although it may be one of the harness itself."""
    command = typer.main.get_command(app)
    if (instruction := os.environ.get(COMPLETE)) is not None:
        from raft_chaos.chaos.cli import completion

        return completion.answer(command, instruction, lazy.settings())
    with command.make_context("raft-chaos", sys.argv[1:], **lazy.settings()) as context:
        return command.invoke(context)
