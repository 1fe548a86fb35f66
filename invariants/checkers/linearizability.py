"""linearizability: each operation seems to take effect at one instant between its invocation and its answer (§8).

This is the strongest promise to clients. It is judged from what clients saw, on every key: registers, lists, and keys
with cas, delete or several writers. An operation of unknown outcome may take effect at any later time, or never.
`verdict` judges the whole history again if it has grown since the last call. `look` judges it meanwhile: a key at a
time, without an explanation, whenever a quarter more of the key's operations have ended. A history that is violated so
far stays violated whatever follows, as open operations count as of unknown outcome; only then it is judged as a whole.

Where answers name log entries, the checker first tries the order of these entries. If the history contradicts the log's
order but has another valid order, it is still valid: the verdict then carries a note about the disagreement.
"""

from __future__ import annotations

from collections.abc import Iterator

from raft_chaos.invariants.checkers.base import Checker
from raft_chaos.invariants.history import Op
from raft_chaos.invariants.linearizability import format
from raft_chaos.invariants.linearizability.check import check, check_with_order
from raft_chaos.invariants.linearizability.readers.aborted import aborted_read
from raft_chaos.invariants.linearizability.readers.history_file import HistoryError, Place
from raft_chaos.invariants.linearizability.readers.jsonl import history_of
from raft_chaos.invariants.verdict import Verdict

LOOK_STEPS = 2_000
"""Steps of search for one key at one look, about 20 ms: in real time, the run waits for them."""


class _Key:
    """The lines of one key, with their numbers, and how many of its operations have ended and must end until a look."""

    __slots__ = ("ended", "lines", "until")

    def __init__(self) -> None:
        self.lines: list[tuple[int, Op]] = []
        self.ended = 0
        self.until = 1


class Linearizability(Checker):
    """Judges by the model of our state machine (`kv`). Tries the log's order first, where answers name log entries."""

    invariant = "linearizability"
    rule = "Each operation takes effect at once, at some moment between its invocation and its answer (§8)."
    nothing_judged = "no client operation could be judged"

    def __init__(self) -> None:
        super().__init__()
        self._ops: list[Op] = []
        self._keys: dict[str, _Key] = {}
        self._due: dict[str, _Key] = {}
        self._last_verdict: Verdict | None = None
        self._note = ""

    def observe_op(self, op: Op) -> None:
        """One operation, in the order in which the clients saw them."""
        self._ops.append(op)
        self._last_verdict = None
        key = self._keys.get(op.key)
        if key is None:
            key = self._keys[op.key] = _Key()
        key.lines.append((len(self._ops), op))
        if op.type in ("ok", "fail"):
            key.ended += 1
            if key.ended >= key.until:
                self._due[op.key] = key

    def look(self) -> None:
        """Finds a violation that shows already, in keys of which enough operations have ended since the last look."""
        if self._due and not self.violations and any(map(_is_violated, self._looked_at())):
            self._last_verdict = self._judge()

    def _looked_at(self) -> Iterator[_Key]:
        due, self._due = self._due, {}
        for key in due.values():
            key.until = key.ended + 1 + key.ended // 4
            yield key

    def note(self) -> str:
        return self._note

    def verdict(self) -> Verdict:
        if self._last_verdict is None:
            self._last_verdict = self._judge()
        return self._last_verdict

    def _judge(self) -> Verdict:
        self.judged, self.violations, self.violation_count, self._note = 0, [], 0, ""
        if not self._ops:
            return super().verdict()
        try:
            history = history_of("history", enumerate(self._ops, 1))
        except HistoryError as error:
            return self.conclude("unknown", str(error))
        compared = check_with_order(history.operations, "kv", history.log_order)
        answer = compared.answer
        self.judged = answer.judged
        if compared.disagreement is not None:
            self._note = format.against_the_log(compared.disagreement.reason)
        if answer.verdict == "violated":
            witness = [op for operation in answer.core for op in self._lines_of(history.places[operation.number])]
            message = "; ".join(filter(None, (f"{answer.key}: {answer.argument}", aborted_read(history, answer))))
            self.violate(message, *witness)
            self.violation_count += len(answer.others)
        elif answer.verdict == "unknown":
            return self.conclude("unknown", "; ".join(filter(None, (answer.argument, self._note))))
        return super().verdict()

    def _lines_of(self, place: Place) -> list[Op]:
        lines = [place.called_line] if place.returned_line is None else [place.called_line, place.returned_line]
        return [self._ops[line - 1] for line in lines]


def _is_violated(key: _Key) -> bool:
    try:
        history = history_of("history", key.lines)
    except HistoryError:
        return False  # `verdict` says so
    return check(history.operations, "kv", budget=LOOK_STEPS, explain=False).verdict == "violated"
