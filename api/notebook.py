"""How results look in a notebook: small HTML without scripts, readable in light and dark themes."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from raft_chaos.api.results import Campaign, Run, Table, Violation

COLOUR = {"valid": "#2e7d32", "violated": "#c62828", "unknown": "#b26a00"}
"""White text is readable on each of them."""

_PRE = "overflow-x:auto;padding:.5em;border:1px solid #8884;border-radius:4px;background:transparent;color:inherit"


def badge(verdict: str, text: str = "") -> str:
    style = f"background:{COLOUR[verdict]};color:#fff;border-radius:4px;padding:.1em .5em"
    return f'<strong style="{style}">{escape(text or verdict)}</strong>'


def text(plain: str) -> str:
    return escape(plain)


def table(shown: Table) -> str:
    """The table without the columns that are empty in all rows, as in the text."""
    used = [n for n, _ in enumerate(shown.columns) if n == 0 or any(row[n] for row in shown.rows)]
    head = "".join(_cell("th", shown, n, shown.columns[n], ' scope="col"') for n in used)
    rows = "".join(f"<tr>{''.join(_cell('td', shown, n, row[n]) for n in used)}</tr>" for row in shown.rows)
    note = f"<p><small>{escape(shown.note)}</small></p>" if shown.note else ""
    inside = f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody>"
    return f"<table><caption>{escape(shown.title)}</caption>{inside}</table>{note}"


def _cell(tag: str, shown: Table, column: int, content: str, more: str = "") -> str:
    return f'<{tag}{more} style="text-align:{shown.aligned[column]}">{escape(content)}</{tag}>'


def violation(shown: Violation) -> str:
    rule = f"<br><em>{escape(shown.rule)}</em>" if shown.rule else ""
    witness = _pre(shown.witness) if shown.witness else ""
    return f"<p><strong>{escape(shown.invariant)}</strong>: {escape(shown.message)}{rule}</p>{witness}"


def run(shown: Run) -> str:
    about = f"seed {shown.seed}, {shown.world}, {shown.target}" + (f" with {shown.mutant}" if shown.mutant else "")
    parts = [f"<p>{badge(shown.verdict)} {escape(about)}</p>"]
    parts += [violation(found) for found in shown.violations[:1]]
    parts += [_list(shown.vacuous)] if shown.vacuous and shown.verdict == "unknown" else []
    if not shown.valid and shown.repro:
        parts += ["<p>Repeat it:</p>", _pre([shown.repro])]
    parts += [
        f"<details><summary>{escape(title)} ({len(rows)})</summary>{table(rows)}</details>"
        for title, rows in shown.tables.items()
    ]
    return f"<div>{''.join(parts)}<p><small>{escape(str(shown.path))}</small></p></div>"


def campaign(shown: Campaign) -> str:
    cells = "".join(
        f'<span title="{escape(f"seed {seed.seed}: {seed.verdict}")}" '
        f'style="display:inline-block;width:1em;height:1em;margin:1px;background:{COLOUR[seed.verdict]}"></span>'
        for seed in shown
    )
    first = next((one for one in shown.runs if not one.valid), None)
    failure = f"<p>The first failure:</p>{run(first)}" if first is not None else ""
    squares = f'<p role="img" aria-label="a square for each seed">{cells}</p>'
    return f"<div><p>{badge(shown.verdict)} {escape(repr(shown)[1:-1])}</p>{squares}{failure}</div>"


def _pre(lines: Iterable[str]) -> str:
    return f'<pre style="{_PRE}">{escape(chr(10).join(lines))}</pre>'


def _list(sentences: Iterable[str]) -> str:
    return f"<ul>{''.join(f'<li>{escape(sentence)}</li>' for sentence in sentences)}</ul>"
