"""The targets and their abilities, and what the check of one says."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from tabulate import tabulate

from raft_chaos.reports.text import visible

WIDTH = 100
_MARKS = {"ok": "ok     ", "missing": "missing", "wrong": "WRONG  "}


@dataclass(frozen=True)
class TargetRow:
    """One target: how `--target` names it, what reports call it, its network, what it can, or why it cannot be used."""

    target: str
    name: str
    network: str
    can: list[str]
    error: str


class FindingRow(Protocol):
    """What one check of a target says."""

    @property
    def what(self) -> str: ...
    @property
    def outcome(self) -> str: ...
    @property
    def seen(self) -> str: ...
    @property
    def advice(self) -> str: ...


def targets_page(rows: Sequence[TargetRow], abilities: Mapping[Any, str]) -> list[str]:
    cells = [[row.target, row.name, row.network, row.error or " ".join(row.can)] for row in rows]
    table = tabulate(
        cells, ["--target", "name", "network", "can"], tablefmt="simple", maxcolwidths=[None, None, None, 48]
    )
    meanings = tabulate([[name, meaning] for name, meaning in abilities.items()], tablefmt="plain")
    return [*table.split("\n"), "", "A target can declare:", *meanings.split("\n")]


def finding_lines(finding: FindingRow) -> Iterator[str]:
    """One line of what was checked and seen, and below it what to do about it."""
    indent = " " * 8
    first = f"{_MARKS[finding.outcome]} {finding.what}: {visible(finding.seen)}"
    yield from textwrap.wrap(first, WIDTH, subsequent_indent=indent)
    if finding.advice and finding.outcome != "ok":
        yield from textwrap.wrap(
            f"do: {visible(finding.advice)}", WIDTH, initial_indent=indent, subsequent_indent=indent + "    "
        )
