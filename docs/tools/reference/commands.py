"""Every command with its arguments and options, as its help has them."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Any

import typer

from docs.tools.reference.markdown import code, page, table
from raft_chaos.chaos.cli import lazy
from raft_chaos.chaos.cli.app import app
from raft_chaos.chaos.cli.commands import COMMANDS

WIDE: dict[str, Any] = {"terminal_width": 1000, "max_content_width": 1000, "help_option_names": ["-h", "--help"]}


def text() -> str:
    parts: list[str] = []
    root = typer.main.get_command(app)
    with root.make_context("raft-chaos", [], resilient_parsing=True, **WIDE) as context:
        for section in dict.fromkeys(one.section for one in COMMANDS):
            parts.append(f"## {section}")
            for one in COMMANDS:
                if one.section == section:
                    parts += _command(root.get_command(context, one.name), one.name, context)  # type: ignore[attr-defined]
    purpose = (
        "Every command with its arguments and options; `raft-chaos COMMAND -h` prints the same. `-h` shows the "
        "help of a command, `raft-chaos -v` the version. [Exit codes](exit-codes.md) are the same everywhere."
    )
    return page("Commands", purpose, "chaos/cli", *parts)


def _command(command: Any, name: str, parent: Any) -> Iterator[str]:
    with command.make_context(name, [], parent=parent, resilient_parsing=True) as context:
        yield f"### {context.command_path.removeprefix('raft-chaos ')}"
        yield f"`{command.get_usage(context).removeprefix('Usage: ')}`"
        yield inspect.cleandoc(command.help)
        for section, records in lazy.sections(command, context).items():
            rows = [_row(*record) for record in records if "--help" not in record[0]]
            if rows:
                yield table([section, "meaning", "default"], rows)
        for inner in getattr(command, "commands", {}).values():
            yield from _command(inner, inner.name, context)


def _row(shape: str, meaning: str) -> list[str]:
    """What brackets at its end say of an option is taken apart: its default, and what it takes."""
    said, _, bracket = meaning.rpartition("  [")
    facts = re.split("; (?=required|at least|at most|[0-9]+ to )", bracket.removesuffix("]")) if said else []
    default = next((fact.removeprefix("default: ") for fact in facts if fact.startswith("default: ")), "")
    limits = [f"{fact[0].upper()}{fact[1:]}." for fact in facts if not fact.startswith("default: ")]
    return [code(shape), " ".join([said or meaning, *limits]), default]
