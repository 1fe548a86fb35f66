"""`raft-chaos targets`: lists what can be broken."""

from __future__ import annotations

import re
from importlib.metadata import entry_points
from pathlib import Path
from typing import Annotated

import typer

from raft_chaos.chaos.cli.result import Result
from raft_chaos.chaos.cli.width import columns
from raft_chaos.chaos.faults.abilities import ABILITIES, in_order
from raft_chaos.chaos.run.option import timing_of
from raft_chaos.chaos.targets.class_names import GROUP
from raft_chaos.chaos.targets.find import find
from raft_chaos.chaos.targets.protocol import Target, TargetError, abilities_of
from raft_chaos.reports.commands.targets import TargetRow, targets_page


def targets(as_json: Annotated[bool, typer.Option("--json", help="One JSON list on stdout.")] = False) -> Result:
    """Lists what can be broken, and what each can do: our own Raft, and what installed packages and files offer."""
    rows = [_row("(none)", find(timing_of()))]
    for place in (*sorted(Path("examples").glob("*.toml")), *sorted(Path.cwd().glob("*.toml"))):
        rows += _described(str(place.relative_to(Path.cwd()) if place.is_absolute() else place))
    for point in sorted(entry_points(group=GROUP), key=lambda point: point.name):
        rows += _described(point.name)
    return Result(page=targets_page(rows, ABILITIES, columns()), document=rows, as_json=as_json)


def _described(name: str) -> list[TargetRow]:
    """The row of a target; none for a file that describes none, such as another program's settings."""
    try:
        return [_row(name, find(timing_of(), name=name))]
    except TargetError as error:
        return (
            [] if name.endswith(".toml") and not _is_target(Path(name)) else [TargetRow(name, "", "", [], str(error))]
        )


def _is_target(file: Path) -> bool:
    """Whether a file that cannot be used is meant to be a target: it has a command."""
    return re.search(r"^\s*command\s*=", file.read_text(encoding="utf-8", errors="replace"), re.MULTILINE) is not None


def _row(name: str, target: Target) -> TargetRow:
    return TargetRow(name, target.name, target.network, list(in_order(abilities_of(target))), "")
