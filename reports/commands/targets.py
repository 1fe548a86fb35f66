"""The targets and their abilities, and what the check of one says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from raft_chaos.reports.tables import Column, Table, text_table
from raft_chaos.reports.text import count, prose, visible

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


def targets_page(rows: Sequence[TargetRow], abilities: Mapping[Any, str], width: int) -> list[str]:
    cells = [
        [row.target, row.name, row.network, f"cannot be used: {row.error}" if row.error else " ".join(row.can)]
        for row in rows
    ]
    columns = [Column("--target", wraps=True), Column("name"), Column("network"), Column("can", wraps=True)]
    meanings = [[name, meaning] for name, meaning in abilities.items()]
    declared = [Column("a target can"), Column("which means", wraps=True)]
    return [
        *text_table(Table("Targets", columns, cells, longest=len(rows)), width),
        "",
        *text_table(Table("Abilities", declared, meanings, longest=len(meanings)), width),
    ]


def finding_lines(finding: FindingRow, width: int) -> Iterator[str]:
    """What was checked and seen, and below it the answer that it was seen in, and what to do about it."""
    indent = " " * 8
    first = f"{_MARKS[finding.outcome]} {finding.what}: {visible(finding.seen)}"
    yield from prose(first, width, "", indent)
    if finding.outcome == "ok":
        return
    for title, text in (("answer", finding.answer), ("do", finding.advice)):
        label = f"{indent}{title}: "
        for line in text.splitlines():
            inner = " " * len(label)
            yield from prose(visible(line), width, label, inner)
            label = inner


def checked_line(findings: Sequence[FindingRow], run_it: str) -> str:
    """The last line: what is wrong, or what to do next."""
    wrong, skipped = (sum(finding.outcome == outcome for finding in findings) for outcome in ("wrong", "skipped"))
    if not wrong:
        return f"nothing is wrong; run it: {run_it}"
    more = f"; left out, since they rest on it: {skipped}" if skipped else ""
    return f"{wrong} of {count(len(findings) - skipped, 'check')} {'is' if wrong == 1 else 'are'} wrong{more}"
