"""Markdown out of what the code has: tables, and texts of docstrings."""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Iterable, Sequence


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table, without the columns that no row fills."""
    cells = [[_cell(text) for text in row] for row in rows]
    kept = [place for place in range(len(head)) if any(row[place] for row in cells)]
    lines = [[head[place] for place in kept], ["---"] * len(kept), *([row[place] for place in kept] for row in cells)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def code(text: str) -> str:
    return f"`{text}`" if text else ""


def listed(names: Iterable[str]) -> str:
    return ", ".join(code(name) for name in names)


def paragraphs(documented: object) -> list[str]:
    """The docstring's paragraphs, each in one line."""
    return [" ".join(part.split()) for part in (inspect.getdoc(documented) or "").split("\n\n")]


def sentence(text: str) -> str:
    """The first sentence."""
    return re.split(r"(?<=[.:]) (?=[A-Z`])", text, maxsplit=1)[0].rstrip(":") if text else ""


def page(title: str, purpose: str, source: str, *parts: str) -> str:
    """A whole page. `source` is the module that says all this."""
    made = f"<!-- made from {source} by `make reference` -->"
    return "\n\n".join([made, f"# {title}", *(_wrapped(part) for part in (purpose, *parts) if part)]) + "\n"


def _wrapped(part: str) -> str:
    """Prose fits the width of the pages; tables, lists and blocks are as they are."""
    if "\n" in part or part.startswith(("|", "#", "-", "`raft-chaos")):
        return part
    return textwrap.fill(part, 120, break_long_words=False, break_on_hyphens=False)
