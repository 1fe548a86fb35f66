"""Assigns each operation to the version of its key that it wrote or saw, and builds the blocks of a history.

`decide` returns None if a history is ambiguous, and leaves it to the searches: an observed value was written twice or
equals the initial value, a key was deleted (absence would be several versions), or a refused operation did not report
what it found.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Sequence
from itertools import chain
from typing import Any, TypeAlias

from raft_chaos.invariants.linearizability import format
from raft_chaos.invariants.linearizability.blocks import (
    Block,
    Members,
    Violation,
    block,
    linearization,
    ordered,
    return_of,
    written,
)
from raft_chaos.invariants.linearizability.operations import NOT_REPORTED, Model, Operation
from raft_chaos.invariants.linearizability.strings import Parsed, parse
from raft_chaos.invariants.linearizability.values import frozen

Groups: TypeAlias = defaultdict[Hashable, list[Operation]]
Decision: TypeAlias = list[Operation] | Violation | None
"""A linearization, or the violation, or None if values do not decide."""


class Versions:
    """One key's operations, grouped by the value that they read, wrote or found."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.first: Hashable = "" if model == "kv-append" else None
        self.reads: Groups = defaultdict(list)
        self.list_reads: list[tuple[Any, Operation]] = []
        self.writers: dict[Hashable, Operation] = {}
        self.rewriters: Groups = defaultdict(list)
        """`writers` holds the first writer of each value, `rewriters` the others. One list per value instead would make
        long histories a quarter slower."""
        self.found: Groups = defaultdict(list)
        """The cas operations that took effect, by the value they found. Those of unknown outcome are added when their
        value is observed."""
        self.appends: list[Operation] = []
        self.impossible: Operation | None = None
        self.ambiguous = False

    def take_in(self, operations: Sequence[Operation]) -> None:
        scalar = self.model == "register"
        reads, writers = self.reads, self.writers
        for operation in operations:
            f, status = operation.f, operation.status
            if f == "read":
                if status == "ok":
                    if not scalar:
                        self._saw(operation, operation.result)
                        continue
                    try:
                        reads[operation.result].append(operation)
                    except TypeError:
                        reads[frozen(operation.result)].append(operation)
            elif status == "refused":
                self._refused(operation)
                if scalar and self.ambiguous:
                    break
            elif f == "write":
                try:
                    first = writers.setdefault(operation.value, operation)
                except TypeError:
                    first = writers.setdefault(frozen(operation.value), operation)
                if first is not operation:
                    self.rewriters[frozen(operation.value)].append(operation)
            elif f == "append":
                self.appends.append(operation)
            elif f == "cas":
                value = frozen(operation.value)
                if writers.setdefault(value, operation) is not operation:
                    self.rewriters[value].append(operation)
                if status == "ok":
                    _file(self.found, operation.expected, operation)
            else:
                self.ambiguous = True
        else:
            return
        # What is impossible in itself still matters, however ambiguous the rest is.
        for operation in operations:
            if operation.status == "refused":
                self._refused(operation)

    def _saw(self, operation: Operation, value: Any) -> None:
        if self.model == "list-append" or (self.model == "kv" and isinstance(value, list | tuple)):
            self.list_reads.append((value if isinstance(value, list) else list(value or ()), operation))
            if self.model == "kv" and not value:
                self.impossible = operation
        else:
            _file(self.reads, (value or "") if self.model == "kv-append" else value, operation)

    def _refused(self, operation: Operation) -> None:
        result = operation.result
        if result is NOT_REPORTED:
            self.ambiguous = True
            return
        if operation.f == "cas" and result == operation.expected:
            self.impossible = operation
        if operation.f == "append" and (result is None or isinstance(result, list | tuple)):
            self.impossible = operation
        self._saw(operation, result)


def _file(groups: Groups, value: Any, operation: Operation) -> None:
    try:
        groups[value].append(operation)
    except TypeError:
        groups[frozen(value)].append(operation)


def decide(operations: Sequence[Operation], model: Model) -> Decision:
    """Decides one key's history if its values identify its versions; otherwise returns None."""
    versions = Versions(model)
    versions.take_in(operations)
    if versions.impossible is not None:
        return _violation_of_one(versions.impossible, _why_impossible(versions.impossible))
    if versions.ambiguous:
        return None
    blocks = _string_blocks(versions) if model == "kv-append" else _blocks(versions)
    if blocks is None or isinstance(blocks, Violation):
        return blocks
    order = ordered(blocks)
    return order if isinstance(order, Violation) else linearization(order)


def _why_impossible(operation: Operation) -> str:
    match operation.f:
        case "cas":
            return "but a cas that finds what it expects is not refused"
        case "append":
            return "but an append to a list, or where nothing is, is not refused"
        case _:
            return "but the model has no empty lists"


def _violation_of_one(operation: Operation, why: str) -> Violation:
    return Violation((operation,), format.contradiction(f"{format.sentence(operation)}, {why}"))


# ---- values ----


def _blocks(versions: Versions) -> list[Block] | Violation | None:
    missing = _follow_back(versions)
    if missing is not None or versions.ambiguous:
        return missing
    for found in versions.found.values():
        if len(found) > 1:
            return _fork(versions, found[0], found[1])
    initial = _first_members(versions)
    if initial is None or isinstance(initial, Violation):
        return initial
    blocks: list[Block] = []
    if initial:
        longest = max(versions.list_reads, key=lambda read: len(read[0]), default=None)
        whole = block(initial, None, longest[1] if longest is not None else None)
        if isinstance(whole, Violation):
            return whole
        blocks.append(whole)
    again = ((value, writer) for value, writers in versions.rewriters.items() for writer in writers)
    for value, writer in chain(versions.writers.items(), again):
        if writer.f == "write":
            reads, chained = versions.reads.get(value), value in versions.found
            if reads or chained or writer.status == "ok":
                one = block(_chain(versions, writer), writer) if chained else written(writer, reads)
                if isinstance(one, Violation):
                    return one
                blocks.append(one)
    return _circular(versions, blocks) or blocks


def _follow_back(versions: Versions) -> Violation | None:
    """Checks that each observed value was written once. Adds each cas of unknown outcome whose value was observed.

    Returns a violation if an observed value was never written.
    """
    todo = [*versions.reads, *versions.found]
    while todo:
        value = todo.pop()
        writer = versions.writers.get(value)
        if value == versions.first:
            versions.ambiguous |= writer is not None
        elif value in versions.rewriters:
            versions.ambiguous = True
        elif writer is None:
            saw = (versions.reads.get(value) or versions.found[value])[0]
            argument = format.contradiction(f"{_happened(versions, saw)}, but {format.never_written(saw, later=False)}")
            return Violation((_sure(versions, saw),), argument)
        elif writer.f == "cas" and writer.status == "unknown":
            expected = frozen(writer.expected)
            found = versions.found[expected]
            if writer not in found:
                found.append(writer)
                todo.append(expected)
    return None


def _sure(versions: Versions, operation: Operation) -> Operation:
    """An operation that certainly took place and depends on this one; the operation itself if its outcome is known."""
    while operation.status == "unknown":
        value = frozen(operation.value)
        operation = (versions.reads.get(value) or versions.found[value])[0]
    return operation


def _happened(versions: Versions, operation: Operation) -> str:
    """A clause for what the operation did; if its outcome is unknown, also the operation that proves it took place."""
    if operation.status != "unknown":
        return format.sentence(operation)
    return f"{format.sentence(operation)}, as {format.name(_sure(versions, operation))} shows"


def _fork(versions: Versions, one: Operation, other: Operation) -> Violation:
    argument = format.contradiction(
        _happened(versions, one),
        _happened(versions, other),
        f"{_once(versions, one.expected)}, and the first cas replaced it",
    )
    return Violation((_sure(versions, one), _sure(versions, other)), argument)


def _once(versions: Versions, value: Any) -> str:
    """A clause saying that a value existed only once."""
    writer = versions.writers.get(frozen(value))
    if writer is None:
        return f"{format.shown(value)} was only the initial value"
    return f"only {format.name(writer)} wrote {format.shown(value)}"


def _chain(versions: Versions, writer: Operation | None, place: int = 0) -> Members:
    """The operations that observed the value written by `writer` (None: the initial value), the cas that changed it,
    the operations that observed the new value, and so on."""
    members: Members = []
    value = versions.first if writer is None else frozen(writer.value)
    if writer is not None:
        members.append((place, writer.called, writer))
    while True:
        for read in versions.reads.get(value, ()):
            members.append((place + 1, read.called, read))
        found = versions.found.get(value)
        if not found:
            return members
        cas = found[0]
        place += 2
        members.append((place, cas.called, cas))
        value = frozen(cas.value)


def _circular(versions: Versions, blocks: list[Block]) -> Violation | None:
    """A violation if no chain from a write reaches some cas: it is then part of a cycle of cas operations."""
    if not versions.found:
        return None
    reached = {operation.number for one in blocks for operation in one.order if operation.f == "cas"}
    for found in versions.found.values():
        for cas in found:
            if cas.number not in reached:
                sure = _sure(versions, cas)
                circle = f"{format.shown(cas.expected)} resulted only from that"
                return Violation((sure,), format.contradiction(f"{_happened(versions, cas)}, but {circle}"))
    return None


# ---- lists: they grow from the first value, and in `kv` the first plain write ends them ----


def _first_members(versions: Versions) -> Members | Violation | None:
    """The members of the initial value's block, with the lists that grew from it."""
    members = _chain(versions, None)
    longest: list[Any] = max((value for value, _ in versions.list_reads), key=len, default=[])
    certain = [append for append in versions.appends if append.status == "ok"]
    if not longest and not certain:
        members += [(1, read.called, read) for _, read in versions.list_reads]
        return members
    if versions.found.get(versions.first):
        return _left_twice(versions, certain)
    grown = _grown(versions, longest)
    return grown if grown is None or isinstance(grown, Violation) else members + grown


def _left_twice(versions: Versions, certain: list[Operation]) -> Violation:
    cas = versions.found[versions.first][0]
    append = certain[0] if certain else max(versions.list_reads, key=lambda read: len(read[0]))[1]
    argument = format.contradiction(
        f"{_happened(versions, cas)}, so it found the key absent",
        f"so did the first append, which {format.noun(append)} {'was or came after' if certain else 'saw'}",
        "the key was absent only once, and a string never becomes a list",
    )
    return Violation((_sure(versions, cas), append), argument)


def _grown(versions: Versions, longest: list[Any]) -> Members | Violation | None:
    """Appends and reads by the length of the list after them. An unobserved append comes after all that was read."""
    reader = next((read for value, read in versions.list_reads if value == longest), None)
    places: dict[Hashable, int] = {}
    for place, token in enumerate(longest, 1):
        if places.setdefault(frozen(token), place) != place:
            sources = [append for append in versions.appends if append.value == token]
            versions.ambiguous = len(sources) > 1
            return None if versions.ambiguous else _too_often(versions, token, sources)
    members: Members = []
    for append in versions.appends:
        at = places.get(frozen(append.value))
        if at is not None:
            members.append((2 * at, append.called, append))
        elif append.status == "ok":
            members.append((2 * len(longest) + 2, append.called, append))
    tokens = {frozen(append.value) for _, _, append in members}
    for token in longest:
        if frozen(token) not in tokens:
            return _violation_of_one(
                _first_to_see(versions, token, 1), f"but nothing ever appended {format.shown(token)}"
            )
    observed = [append for place, _, append in members if place <= 2 * len(longest)]
    if len(observed) > len(longest):
        return None
    for value, read in versions.list_reads:
        if longest[: len(value)] != value:
            assert reader is not None
            return _divergent(read, reader)
        members.append((2 * len(value) + 1, read.called, read))
    return members


def _first_to_see(versions: Versions, token: Any, times: int) -> Operation:
    """The first read to return the token at least `times` times. There must be one."""
    return min((read for value, read in versions.list_reads if value.count(token) >= times), key=return_of)


def _too_often(versions: Versions, token: Any, sources: Sequence[Operation]) -> Violation:
    saw = _first_to_see(versions, token, 2)
    value = next(value for value, read in versions.list_reads if read is saw)
    at = [place for place, item in enumerate(value, 1) if item == token]
    by = f"only {format.name(sources[0])} appended it, once" if sources else "nothing ever appended it"
    return Violation(
        (saw,), format.contradiction(format.sentence(saw), format.more_than_once(token, at, len(value)), by)
    )


def _divergent(one: Operation, other: Operation) -> Violation:
    argument = format.contradiction(
        format.sentence(one),
        format.sentence(other),
        "neither is a prefix of the other, and an append is never undone",
    )
    return Violation((one, other), argument)


# ---- strings that grow ----


def _string_blocks(versions: Versions) -> list[Block] | Violation | None:
    writers = {value: [writer, *versions.rewriters.get(value, ())] for value, writer in versions.writers.items()}
    parsed = parse(writers, versions.appends, versions.reads)
    if not isinstance(parsed, Parsed):
        return parsed
    blocks: list[Block] = []
    for generation in parsed.generations:
        one = block(generation.members, generation.writer, generation.longest)
        if isinstance(one, Violation):
            return one
        blocks.append(one)
    for write in parsed.unobserved:
        one = written(write, None)
        assert isinstance(one, Block)
        blocks.append(one)
    return blocks
