"""Decides histories in which each observed value was written once, without a search, in O(n log n).

Such a value identifies one *version* of the key, which exists during one interval. A successful cas links its version
to the version that it found; an append links its list to the list before. A *block* is a chain of linked versions with
all operations that observed them, or one completed write that no operation observed. Each block, except the block of
the initial value, begins with a plain write, which the model allows in any state. So whole blocks can be executed in
any order, with the initial value's block first.

The history is linearizable if and only if
  (1) every observed version was written, and no version has two successors;
  (2) in each block, no operation returned before the call of an operation that belongs to an earlier version;
  (3) no two blocks must each precede the other. Let `first` be the earliest return and `last` the latest call in a
      block. B must precede C if B.first < C.last, because some operation of B returned before one of C was called.
Necessary: a version exists during one interval, and nothing comes between two linked versions, so the operations of a
block are contiguous. Sufficient: by (2), the order by version, and by call within a version, is correct inside each
block. Suppose that the precedence of blocks has a cycle. Take its block B with the largest `last`, and let C follow B
and D follow C. Then C.first < D.last <= B.last, so C must also precede B, which contradicts (3). The order by
max(first, last) is then correct: if B precedes C, then B.first < C.last and, by (3), C.first >= B.last, so B's maximum
is at most C's. If the two are equal, then B.last = C.first >= C.last > B.first; therefore, among equals, blocks with
first < last come first.
With reads and writes only, these blocks are the zones of Gibbons and Korach (1997).

The block of the initial value has first = -infinity. Operations of unknown outcome whose effect was not observed are
left out. Those whose effect was observed took place, and may return at any time.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import pairwise
from operator import attrgetter, itemgetter
from typing import NamedTuple, TypeAlias

import msgspec

from raft_chaos.invariants.linearizability import format
from raft_chaos.invariants.linearizability.operations import Operation

INFINITY = float("inf")

Members: TypeAlias = list[tuple[int, int, Operation]]
"""(place of its version, time of its call, operation). Sorted, they give the order inside a block."""

call_of = attrgetter("called")
place_and_call = itemgetter(0, 1)


class Violation(NamedTuple):
    """Operations that contradict each other whatever else happened, and why. The core may be larger than necessary."""

    core: tuple[Operation, ...]
    argument: str


class Block(msgspec.Struct, frozen=True, gc=False):
    """Operations that are contiguous in every linearization (see the module's header).

    `first` is the earliest return (-infinity for the initial value's block), of the operation `ended`. `last` is the
    latest call, of the operation `begun`. Times are integers or infinite: floats would round today's times in
    nanoseconds. `order` is the order inside the block. `writer` is its plain write (None for the initial value), and
    `shows` is the read that shows which appends it holds, and where.
    """

    first: int | float
    last: int
    ended: Operation
    begun: Operation
    order: Sequence[Operation]
    writer: Operation | None
    shows: Operation | None = None


def return_of(operation: Operation) -> float:
    returned = operation.returned
    return INFINITY if returned is None or operation.status == "unknown" else returned


def written(writer: Operation, reads: list[Operation] | None) -> Block | Violation:
    """The block of a plain write and its reads, the most common case. `reads` becomes the block's order."""
    last = writer.called
    first: float = INFINITY if writer.returned is None or writer.status == "unknown" else writer.returned
    if not reads:
        return Block(first, last, writer, writer, (writer,), writer)
    called, ended, begun = last, writer, writer
    for read in reads:
        returned = read.returned
        if returned is not None and returned < first:
            if returned < called:
                return _out_of_turn(read, writer, writer, None)
            first, ended = returned, read
        if read.called > last:
            last, begun = read.called, read
    if len(reads) > 1:
        reads.sort(key=call_of)
    reads.insert(0, writer)
    return Block(first, last, ended, begun, reads, writer)


def block(members: Members, writer: Operation | None, shows: Operation | None = None) -> Block | Violation:
    """The block of these operations, or the reason why they have no order. `members` need not be sorted."""
    members.sort(key=place_and_call)
    order = [operation for _, _, operation in members]
    ended = begun = before = order[0]
    first, last = return_of(ended), ended.called
    version, latest = members[0][0], -INFINITY
    begun_at = before_at = version
    for place, called, operation in members:
        if place != version:
            version, latest, before, before_at = place, last, begun, begun_at
        returned = return_of(operation)
        if returned < latest:
            link = next((o for at, _, o in members if at > before_at and o.f == "cas" and format.changes(o)), None)
            return _out_of_turn(operation, before, writer, shows, link)
        if returned < first:
            first, ended = returned, operation
        if called > last:
            last, begun, begun_at = called, operation, place
    return Block(first if writer is not None else -INFINITY, last, ended, begun, order, writer, shows)


def _out_of_turn(
    later: Operation,
    earlier: Operation,
    writer: Operation | None,
    shows: Operation | None,
    link: Operation | None = None,
) -> Violation:
    """The violation: `later` belongs after `earlier` in the block, but had returned before `earlier` was called.

    `link` is the first cas after the version of `earlier`.
    """
    core: tuple[Operation, ...] = (later, earlier)
    argument = format.Argument()
    # In the initial list no third operation is needed to place an append relative to a read: the read shows it or not,
    # and no earlier value could have replaced it.
    if writer is not None or later.f == earlier.f == "append":
        core += _append_shown_by(shows, later, earlier)
    argument.saw(core[2:])
    argument.saw((later, earlier))
    argument.returned_before(later, earlier)
    return Violation(core, argument.conclude(_why_after(later, earlier, core[2:], link)))


def _why_after(later: Operation, earlier: Operation, shows: Sequence[Operation], link: Operation | None) -> str:
    """A clause that says why `later` belongs after `earlier`."""
    if not format.changes(later) and format.changes(earlier):
        if earlier.f != "append" and earlier.value == format.observed(later):
            return f"but only that wrote {format.seen(later)}"
        what = "contains it" if earlier.f == "append" else "resulted from it"
        return f"but what {format.name(later)} saw {what}"
    if format.changes(later) and format.changes(earlier):
        if not shows:
            return "but the value that it found resulted from that"
        if later.f == "append" and later.value not in shows[0].result:
            return f"but {format.name(shows[0])} shows that without it, and an append is never undone"
        return f"but {format.name(shows[0])} shows it after that"
    if later.f == "append":
        return f"but {format.name(earlier)} does not show it, and an append is never undone"
    if format.changes(later):
        return f"so {format.seen(earlier)} was gone by then, and nothing brought it back"
    if link is not None:
        return f"{format.sentence(link)} before that, and nothing brought {format.seen(earlier)} back"
    return f"{format.seen(later)} came after {format.seen(earlier)}, and an append is never undone"


def _append_shown_by(shows: Operation | None, *operations: Operation) -> tuple[Operation, ...]:
    """The read that shows where an append belongs, if there is an append among these operations."""
    if shows is None or shows in operations or all(operation.f != "append" for operation in operations):
        return ()
    return (shows,)


def ordered(blocks: Sequence[Block]) -> list[Block] | Violation:
    """The blocks in an order that respects real time, or the violation if two of them have none."""
    forward = [one for one in blocks if one.first < one.last]
    backward = [one for one in blocks if one.first >= one.last]
    forward.sort(key=lambda one: one.first)
    for one, other in pairwise(forward):
        # Comparing neighbours is enough: a block that overlaps a later one also overlaps the next one.
        if other.first < one.last:
            return _overlapping(one, other)
    ends = [one.last for one in forward]
    for other in backward:
        # The forward blocks are disjoint, so only the first that ends after `other.first` can enclose it.
        place = bisect_right(ends, other.first)
        if place < len(forward) and forward[place].first < other.last:
            return _overlapping(forward[place], other)
    # The sort is stable: among equals, blocks with first < last come first.
    return sorted(forward + backward, key=lambda one: one.last if one.last > one.first else one.first)


def _overlapping(one: Block, other: Block) -> Violation:
    """The violation: each block must precede the other. `one` may be the block of the initial value."""
    if other.first == -INFINITY:
        one, other = other, one
    begin = one.first == -INFINITY
    core = (one.begun, *_proof(one), other.ended)
    if not begin:
        core += (one.ended, other.begun, *_proof(other))
    for block in (one, other):
        core += _append_shown_by(block.shows, *(o for o in (block.ended, block.begun) if o in core))
    argument = format.Argument()
    for block in (one, other):
        argument.saw([o for o in core if o in block.order], _source(block))
    if not begin:
        argument.returned_before(one.ended, other.begun)
    argument.returned_before(other.ended, one.begun)
    return Violation(core, argument.conclude(_why_both(one, other)))


def _why_both(one: Block, other: Block) -> str:
    """A clause that says why two blocks cannot each precede the other."""
    begun, lost = one.begun, other.writer is not None and other.writer.f == "append"
    if one.first == -INFINITY:
        if begun.f == "append" and format.changes(begun):
            if one.shows is not None:
                return f"but {format.name(one.shows)} shows that appended to the initial value"
            return "but an append needs a list or an absent key, and nothing brought that back"
        if lost:
            return f"but {format.name(begun)} does not show it, and what it shows did not result from a write"
        made = any(format.changes(operation) for operation in one.order[: one.order.index(begun)])
        return f"but {format.seen(begun)} {'resulted from' if made else 'was only'} the initial value"
    if lost and not format.changes(begun):
        return f"so it was appended to {_content(one)}, and {format.name(begun)} does not show it"
    this, that = _content(one), _content(other)
    return f"so {this} came before {that}, and {that} before {this}, and neither came twice"


def _source(block: Block) -> str:
    """A clause that says which write the observed values came from; "" for the initial value."""
    if block.writer is None:
        return ""
    if _plain(block):
        return f", which only {format.name(block.writer)} wrote"
    return f", which resulted from {format.name(block.writer)}"


def _content(block: Block) -> str:
    """A name for the block's content."""
    if block.writer is None:
        return "the initial value"
    if len(block.order) == 1:
        return format.name(block.writer)
    value = format.shown(block.writer.value)
    return value if _plain(block) else f"what resulted from {value}"


def _plain(block: Block) -> bool:
    """Whether the block holds a single value."""
    return not any(o.f in ("cas", "append") and o.status != "refused" for o in block.order)


def _proof(one: Block) -> tuple[Operation, ...]:
    """Proof that the operation called last in a block took place: the last operation in it that certainly did."""
    if one.begun.status != "unknown":
        return ()
    return (next(operation for operation in reversed(one.order) if operation.status != "unknown"),)


def linearization(blocks: Iterable[Block]) -> list[Operation]:
    """The order of operations that follows from an order of blocks."""
    return [operation for one in blocks for operation in one.order]
