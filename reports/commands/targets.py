"""The targets and their abilities, and what the check of one says."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from tabulate import tabulate

from raft_chaos.reports.text import count, visible

_MARKS = {"ok": "ok     ", "missing": "missing", "wrong": "WRONG  ", "skipped": "skipped"}


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
    @property
    def answer(self) -> str: ...


def targets_page(rows: Sequence[TargetRow], abilities: Mapping[Any, str]) -> list[str]:
    cells = [[row.target, row.name, row.network, row.error or " ".join(row.can)] for row in rows]
    table = tabulate(
        cells, ["--target", "name", "network", "can"], tablefmt="simple", maxcolwidths=[None, None, None, 48]
    )
    meanings = tabulate([[name, meaning] for name, meaning in abilities.items()], tablefmt="plain")
    return [*table.split("\n"), "", "A target can declare:", *meanings.split("\n")]


def finding_lines(finding: FindingRow, width: int) -> Iterator[str]:
    """What was checked and seen, and below it the answer that it was seen in, and what to do about it."""
    indent = " " * 8
    first = f"{_MARKS[finding.outcome]} {finding.what}: {visible(finding.seen)}"
    yield from textwrap.wrap(first, width, subsequent_indent=indent)
    if finding.outcome == "ok":
        return
    for title, text in (("answer", finding.answer), ("do", finding.advice)):
        label = f"{indent}{title}: "
        for line in text.splitlines():
            inner = " " * len(label)
            yield from textwrap.wrap(
                visible(line), width, initial_indent=label, subsequent_indent=inner, break_on_hyphens=False
            )
            label = inner


def checked_line(findings: Sequence[FindingRow], run_it: str) -> str:
    """The last line: what is wrong, or what to do next."""
    wrong, skipped = (sum(finding.outcome == outcome for finding in findings) for outcome in ("wrong", "skipped"))
    if not wrong:
        return f"nothing is wrong; run it: {run_it}"
    more = f"; left out, since they rest on it: {skipped}" if skipped else ""
    return f"{wrong} of {count(len(findings) - skipped, 'check')} {'is' if wrong == 1 else 'are'} wrong{more}"
