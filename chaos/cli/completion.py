"""`raft-chaos completion`: the script by which a shell completes commands, options, and the values of options."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import typer
from typer.completion import completion_init, get_completion_script, shell_complete  # type: ignore[attr-defined]

from raft_chaos.chaos.cli.commands import COMPLETE
from raft_chaos.chaos.cli.result import Result

PROGRAM = "raft-chaos"


def completion(
    shell: Annotated[Literal["bash", "zsh", "fish"], typer.Argument(metavar="SHELL", help="bash, zsh or fish.")],
) -> Result:
    """Prints the script that completes commands and options in a shell.

    bash: add  eval "$(raft-chaos completion bash)"  to ~/.bashrc.

    zsh: add  eval "$(raft-chaos completion zsh)"  to ~/.zshrc, after compinit.

    fish: raft-chaos completion fish > ~/.config/fish/completions/raft-chaos.fish
    """
    return Result(page=[get_completion_script(prog_name=PROGRAM, complete_var=COMPLETE, shell=shell)])


def answer(command: Any, instruction: str, settings: dict[str, Any]) -> int:
    """Prints what the script asked for, and returns the exit code."""
    completion_init()
    code: int = shell_complete(command, settings, PROGRAM, COMPLETE, instruction)
    return code
