"""Formats operations and arguments as text, in the style of Elle: what each operation saw, and the contradiction."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from raft_chaos.invariants.linearizability.operations import NOT_REPORTED, Operation

SHOWN_ITEMS, SHOWN_CHARACTERS = 8, 60
LONGEST_NAME = 40
MOST_OTHERS = 4


def shown(value: Any) -> str:
    """A value as JSON where possible, shortened. Of a long list it shows the end."""
    if isinstance(value, list | tuple) and len(value) > SHOWN_ITEMS:
        return f"[… {', '.join(map(shown, value[-SHOWN_ITEMS:]))}] ({len(value)} items)"
    if isinstance(value, list | tuple):
        text = f"[{', '.join(map(shown, value))}]"
    elif value is None or isinstance(value, str | int | float):
        text = json.dumps(value, ensure_ascii=False)
    else:
        text = repr(value)
    half = SHOWN_CHARACTERS // 2
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:half]}…{text[-half:]}"


def name(operation: Operation) -> str:
    """ "write #4", or "write c0/17" where the history has its own names."""
    label = operation.label or f"#{operation.number}"
    return f"{operation.f} {label if len(label) <= LONGEST_NAME else f'…{label[-LONGEST_NAME:]}'}"


def noun(operation: Operation) -> str:
    """As a noun: "write #4 of 3", "read #7", "cas #5 from 3 to 4"."""
    match operation.f:
        case "read" | "delete":
            return name(operation)
        case "cas":
            return f"{name(operation)} from {shown(operation.expected)} to {shown(operation.value)}"
        case _:
            return f"{name(operation)} of {shown(operation.value)}"


def sentence(operation: Operation) -> str:
    """As a sentence: "read #7 returned 3", "cas #5 changed 3 to 4", "append #2 of 7 was refused, finding "a"."""
    if operation.status == "refused":
        found = "" if operation.result is NOT_REPORTED else f", finding {shown(operation.result)}"
        return f"{noun(operation)} was refused{found}"
    match operation.f:
        case "read":
            return f"{name(operation)} returned {shown(operation.result)}"
        case "cas":
            what = f"{name(operation)} changed {shown(operation.expected)} to {shown(operation.value)}"
        case "write":
            what = f"{name(operation)} wrote {shown(operation.value)}"
        case "append":
            what = f"{name(operation)} appended {shown(operation.value)}"
        case _:
            what = f"{name(operation)} deleted it"
    return f"{what} (outcome unknown)" if operation.status == "unknown" else what


def observed(operation: Operation) -> Any:
    """The value that the operation saw: what a read returned, or what a cas found."""
    return operation.expected if operation.f == "cas" and changes(operation) else operation.result


def seen(operation: Operation) -> str:
    return shown(observed(operation))


def changes(operation: Operation) -> bool:
    """Whether the operation is a write of any kind that was not refused."""
    return operation.f != "read" and operation.status != "refused"


def never_written(saw: Operation, *, later: bool) -> str:
    """A clause saying that nothing had written what the operation saw. `later`: it was written afterwards."""
    nothing = "nothing else" if changes(saw) and saw.value == observed(saw) else "nothing"
    if later:
        return f"{nothing} that wrote {seen(saw)} had been called when it returned"
    return f"{nothing} ever wrote {seen(saw)}"


def more_than_once(token: Any, at: Sequence[int], size: int) -> str:
    """A clause saying that a list shows a token more than once, and where."""
    return f"it shows {shown(token)} at places {', '.join(map(str, at[:-1]))} and {at[-1]} of {size}"


def contradiction(*clauses: str) -> str:
    return f"{'; '.join(clauses)}: contradiction"


class Argument:
    """The clauses of one argument. Details of an operation are given at its first mention only."""

    def __init__(self) -> None:
        self.clauses: list[str] = []
        self._known: set[int] = set()

    def saw(self, operations: Iterable[Operation], which: str = "") -> None:
        """Adds a clause for what each of these operations saw. `which` is appended to the first."""
        for operation in operations:
            if operation.number not in self._known and not changes(operation):
                self._known.add(operation.number)
                self.clauses.append(f"{sentence(operation)}{which}")
                which = ""

    def noun(self, operation: Operation) -> str:
        """The operation as a noun."""
        if operation.number in self._known:
            return name(operation)
        self._known.add(operation.number)
        return _maybe(operation)

    def returned_before(self, operation: Operation, other: Operation) -> None:
        """Adds the clause that one operation had returned before the other was called."""
        self.clauses.append(f"{self.noun(operation)} had returned before {self.noun(other)} was called")

    def conclude(self, conclusion: str) -> str:
        """The whole argument."""
        return contradiction(*self.clauses, conclusion)


def no_order(core: Sequence[Operation], between: Sequence[Operation], earlier: int, *, perhaps_less: bool) -> str:
    """The argument for a core that a search has found: it says what was tried.

    `between` are the other writes that could help and overlap the core's time, by their calls. `earlier` is the number
    of such writes that ended before the core.
    """
    if len(core) == 1 and not between and not earlier:
        return contradiction(sentence(core[0]), "nothing that happened on the key allows that")
    size = " (perhaps some of them are not needed)" if perhaps_less else ""
    order = f"no order of these{size} that respects real time gives all of these results"
    if len(core) == 1:
        order = "no order that respects real time allows that"
    if earlier:
        order += f", whatever {f'{earlier} earlier writes' if earlier > 1 else 'an earlier write'} left"
    if between:
        order += f", with or without {', '.join(_maybe(operation) for operation in between[:MOST_OTHERS])}"
    if len(between) > MOST_OTHERS:
        order += f" and {len(between) - MOST_OTHERS} more"
    return contradiction(*map(sentence, core), f"{order}, and no other write could help")


def _maybe(operation: Operation) -> str:
    return f"{noun(operation)} (outcome unknown)" if operation.status == "unknown" else noun(operation)


def against_the_log(reason: str) -> str:
    """The note for a history that has a linearization, but not in the order of the log."""
    return f"log order disagrees with the client history: {reason}"
