"""Each clause of each argument is true for its history and is about the core. The tests parse the arguments."""

from __future__ import annotations

import re
from collections import Counter
from random import Random

import pytest

import small_histories as small
from raft_chaos.invariants.linearizability import format
from raft_chaos.invariants.linearizability.check import check
from raft_chaos.invariants.linearizability.operations import Answer, Model, Operation

OPERATION = r"(?:read|write|cas|append|delete) #(\d+)"
MODELS: tuple[Model, ...] = ("register", "kv", "kv-append", "list-append")


class Argument:
    """An argument, and the history that it is about."""

    def __init__(self, answer: Answer, history: list[Operation]) -> None:
        self.text = answer.argument
        self.core = {operation.number for operation in answer.core}
        self.by_number = {operation.number: operation for operation in history}
        self.reported = Counter[str]()

    def found(self, kind: str, pattern: str) -> list[tuple[Operation, ...]]:
        """The operations in each match of the pattern, which is OPERATION wherever it says %."""
        matches = re.findall(pattern.replace("%", OPERATION), self.text)
        self.reported[kind] += len(matches)
        numbers = [match if isinstance(match, tuple) else (match,) for match in matches]
        return [tuple(self.by_number[int(number)] for number in match) for match in numbers]

    def untrue(self) -> str | None:
        """What is wrong with it."""
        for one, other in self.found(
            "before", r"% (?:of \S+ |from \S+ to \S+ )?(?:\(outcome unknown\) )?had returned before %"
        ):
            if one.status == "unknown" or one.returned is None or one.returned >= other.called:
                return f"{one} had not returned before {other} was called"
        for (one,) in self.found("returned", r"% returned (?=[^;:]*)"):
            if f"{format.sentence(one)}" not in self.text:
                return f"{one} returned something else"
        for (one,) in self.found("only wrote", r"which only % wrote"):
            if [o.number for o in self._writers(one)] != [one.number]:
                return f"{one} was not the only one"
        for value in re.findall(r"nothing (?:else )?ever wrote ([^:;]+)", self.text):
            self.reported["never written"] += 1
            accused = self._accused()
            writers = [
                o for o in self.by_number.values() if o.f in ("write", "cas") and o not in accused and format.changes(o)
            ]
            if any(format.shown(o.value) == value for o in writers):
                return f"{value} was written"
        for value in re.findall(r"nothing ever appended ([^:;]+)", self.text):
            self.reported["never appended"] += 1
            if any(o.f == "append" and format.shown(o.value) == value for o in self.by_number.values()):
                return f"{value} was appended"
        return self._of_others()

    def _writers(self, one: Operation) -> list[Operation]:
        same = [o for o in self.by_number.values() if o.f in ("write", "cas") and format.changes(o)]
        return [o for o in same if format.shown(o.value) == format.shown(one.value)]

    def _accused(self) -> list[Operation]:
        return [self.by_number[number] for number in self.core]

    def _of_others(self) -> str | None:
        """Operations outside of the core are named only as who wrote something, or as who may have."""
        allowed = re.sub(r"with or without .*?, and no other write", "", self.text)
        allowed = re.sub(rf"(?:only|which resulted from|and only) {OPERATION}(?:(?:, | and ){OPERATION})*", "", allowed)
        allowed = re.sub(rf"{OPERATION}, (?:the (?:last|first) of|which set it to|the next to)", "", allowed)
        allowed = re.sub(
            rf"{OPERATION} (?:changed|appended|wrote) [^;:]*(?:before that|as {OPERATION} shows)", "", allowed
        )
        named = {int(number) for number in re.findall(OPERATION, allowed)}
        return None if named <= self.core else f"{sorted(named - self.core)} are not in the core {sorted(self.core)}"


@pytest.mark.parametrize("model", MODELS)
def test_each_clause_of_an_argument_is_true(model: Model) -> None:
    reported, violated = Counter[str](), 0
    for number in range(2_500):
        history = small.history(Random(f"arguments/{model}/{number}"), model, 7)
        answer = check(history, model)
        if answer.verdict == "violated":
            argument = Argument(answer, history)
            violated += 1
            wrong = argument.untrue()
            assert wrong is None, f"{wrong}\n{answer.argument}\n" + "\n".join(map(str, history))
            assert all(format.name(operation) in answer.argument for operation in answer.core), answer
            reported += argument.reported
    assert violated > 200 and reported["before"] > 20 and reported["returned"] > 100, (violated, reported)
