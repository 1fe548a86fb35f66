"""Aborted reads (Adya's G1a): what an operation saw was written by one that its client was told had failed."""

from __future__ import annotations

from invariants.linearizability import words
from invariants.linearizability.operations import Answer
from invariants.linearizability.readers.history_file import ReadHistory


def aborted_read(history: ReadHistory, answer: Answer) -> str:
    """A remark on an operation that by itself cannot be, if a failed write explains it; else ""."""
    if len(answer.core) != 1:
        return ""
    saw = answer.core[0]
    value = saw.expected if saw.f == "cas" and words.changes(saw) else saw.result
    seen = {words.shown(item) for item in (value if isinstance(value, list | tuple) else (value,))}
    for failure in history.failures:
        if failure.key == answer.key and failure.f not in ("read", "delete") and words.shown(failure.value) in seen:
            lines = f"lines {failure.place.called_line} and {failure.place.returned_line}"
            return f"an aborted read: the {failure.f} of {words.shown(failure.value)} in {lines} had failed"
    return ""
