"""The figures of a campaign that runs in parts: one small JSON file, to which each part adds what it counted.

    {"parts": {"wal": ["1", "2"]}, "counts": {"wal": {"accepted": 12, "refused": 1988}}}

A part has a name, mostly its seed. The same part again would be counted twice, so it is refused.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path


class CountedError(Exception):
    """The part is in the totals already."""


class Totals:
    """Counters by row. Without a file they live as long as the process."""

    def __init__(self, file: Path | None) -> None:
        self._file = file
        saved = json.loads(file.read_text()) if file is not None and file.exists() else {"parts": {}, "counts": {}}
        self._parts: dict[str, list[str]] = saved["parts"]
        self.counts: dict[str, Counter[str]] = {row: Counter(counts) for row, counts in saved["counts"].items()}

    def require_new(self, row: str, part: str) -> None:
        """Raises CountedError if the part of this row has been counted."""
        if part in self._parts.get(row, []):
            raise CountedError(f"seed {part} of {row} is in {self._file} already: choose another seed")

    def add(self, row: str, part: str, counts: Counter[str]) -> None:
        """Adds the part, and saves the file. A part may be added in steps."""
        parts = self._parts.setdefault(row, [])
        if part not in parts:
            parts.append(part)
        self.counts.setdefault(row, Counter()).update(counts)
        if self._file is not None:
            saved = json.dumps({"parts": self._parts, "counts": self.counts}, indent=1) + "\n"
            new = self._file.with_name(self._file.name + ".new")
            new.write_text(saved)
            new.replace(self._file)


def table(heads: list[str], rows: list[list[object]]) -> str:
    """A table as docs/ has them."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(
        "| " + " | ".join(f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in line) + " |" for line in lines
    )
