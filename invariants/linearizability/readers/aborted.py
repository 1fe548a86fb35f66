"""Aborted reads (Adya's G1a): an operation saw a value whose write had failed according to its answer."""

from __future__ import annotations

from raft_chaos.invariants.linearizability import format
from raft_chaos.invariants.linearizability.operations import Answer, Operation
from raft_chaos.invariants.linearizability.readers.history_file import Failure, ReadHistory


def aborted_read(history: ReadHistory, answer: Answer) -> str:
    """A remark if a failed write explains a core of one operation; otherwise ""."""
    if len(answer.core) != 1:
        return ""
    [saw] = answer.core
    over = history.places[saw.number].returned_line or 0
    for failure in history.failures:
        if failure.key == saw.key and failure.place.called_line < over and _accused(history, saw, failure):
            lines = f"lines {failure.place.called_line} and {failure.place.returned_line}"
            return f"an aborted read: the {failure.f} of {format.shown(failure.value)} in {lines} had failed"
    return ""


def _accused(history: ReadHistory, saw: Operation, failure: Failure) -> bool:
    """Whether `saw` observed the value of the failed operation more often than other operations wrote it."""
    value = format.observed(saw)
    if failure.f == "append" and isinstance(value, list | tuple):
        made = sum(o.f == "append" and o.key == saw.key and o.value == failure.value for o in history.operations)
        return bool(sum(token == failure.value for token in value) > made)
    if failure.f not in ("write", "cas") or value != failure.value:
        return False
    return not any(
        o is not saw and o.f in ("write", "cas") and o.key == saw.key and o.value == value for o in history.operations
    )
