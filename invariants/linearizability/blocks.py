"""Histories in which each observed value was written once are decided without a search, in O(n log n).

Such a value names one *version* of the key, which lasts for one spell of time. A successful cas joins its version to
the one that it found; an append joins its list to the list before. A *block* is a chain of versions so joined with all
that observed them; or one completed write that nobody observed. Each block but the first value's begins with a plain
write, which the model allows over anything, so whole blocks can be played in any order, the first value's first.

The history is linearizable if and only if
  (1) every observed version was written, and no version was left by two successors;
  (2) in each block no operation returned before the call of one that belongs at an earlier version;
  (3) no two blocks each have to precede the other. With `first` the earliest return and `last` the latest call in a
      block, B must precede C if B.first < C.last, for then some operation of B returned before one of C was called.
Necessary: a version lasts for one spell, and what lies between two joined versions is nothing, so the operations of a
block stand together. Sufficient: by (2) the order by version, and by call within a version, is right inside each
block. Suppose the blocks' precedence has a cycle. Take the block of it with the largest `last`, B, and let C follow it
and D follow C: C.first < D.last <= B.last, so C must precede B as well, against (3). An order is then that by
max(first, last): if B precedes C, B.first < C.last, and by (3) C.first >= B.last, so B's maximum is at most C's; if
they are equal, it is B.last = C.first >= C.last > B.first, which is why of equals blocks with first < last come first.
With reads and writes alone these are the zones of Gibbons and Korach (1997).

The block of the first value has first = -infinity. Operations of unknown outcome whose effect nobody observed are left
out; those that were observed happened, and may return at any time.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import pairwise
from operator import attrgetter
from typing import NamedTuple, TypeAlias

import msgspec

from raft_chaos.invariants.linearizability import format
from raft_chaos.invariants.linearizability.operations import Operation

INFINITY = float("inf")

Members: TypeAlias = list[tuple[int, int, Operation]]
"""(place of its version, call, operation): sorted, the order inside a block."""

call_of = attrgetter("called")


class Violation(NamedTuple):
    """Operations that cannot all be, whatever else happened, and why. Perhaps more of them than are needed."""

    core: tuple[Operation, ...]
    argument: str


class Block(msgspec.Struct, frozen=True, gc=False):
    """`first` is the earliest return (-infinity for the first value's block), and `ended` the operation with it; `last`
    the latest call, and `begun` the operation with that. Times are integers or infinite: as floats, nanoseconds of this
    century would be rounded. `order` is that inside the block. `writer` is its plain write (None: the first value's),
    and `shows` the read that shows which appends are in it and where."""

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
    """`block` for the most common one, a plain write and its reads, whose list becomes the block's order."""
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
    """The block of these operations, or why they have no order. `members` need not be sorted."""
    members.sort(key=lambda member: member[:2])
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
    """`later` belongs after `earlier` in the block, and had returned before that was called. `link` is the first cas
    after the version of `earlier`."""
    core: tuple[Operation, ...] = (later, earlier)
    telling = format.Telling()
    # In the first list it takes no third operation to show where an append belongs relative to a read: the read has it
    # or lacks it, and there was nothing before it to lose it in.
    if writer is not None or later.f == earlier.f == "append":
        core += _append_shown_by(shows, later, earlier)
    telling.saw(core[2:])
    telling.saw((later, earlier))
    telling.over_before(later, earlier)
    return Violation(core, telling.so(_why_after(later, earlier, core[2:], link)))


def _why_after(later: Operation, earlier: Operation, shows: Sequence[Operation], link: Operation | None) -> str:
    """Why `later` belongs after `earlier`."""
    if not format.changes(later) and format.changes(earlier):
        if earlier.f != "append" and earlier.value == format.observed(later):
            return f"but only that wrote {format.seen(later)}"
        return f"but what {format.name(later)} saw {'has that' if earlier.f == 'append' else 'came of that'}"
    if format.changes(later) and format.changes(earlier):
        if not shows:
            return "but it found what came of that"
        if later.f == "append" and later.value not in shows[0].result:
            return f"but {format.name(shows[0])} shows that without it, and what was appended is never taken back"
        return f"but {format.name(shows[0])} shows it after that"
    if later.f == "append":
        return f"but {format.name(earlier)} does not show it, and what was appended is never taken back"
    if format.changes(later):
        return f"so {format.seen(earlier)} was gone by then, and nothing brought it back"
    if link is not None:
        return f"{format.sentence(link)} before that, and nothing brought {format.seen(earlier)} back"
    return f"{format.seen(later)} came after {format.seen(earlier)}, and what was appended is never taken back"


def _append_shown_by(shows: Operation | None, *operations: Operation) -> tuple[Operation, ...]:
    """The read that tells where an append belongs, if there is one among these."""
    if shows is None or shows in operations or all(operation.f != "append" for operation in operations):
        return ()
    return (shows,)


def ordered(blocks: Sequence[Block]) -> list[Block] | Violation:
    """The blocks in an order that respects real time, or two of them that have none."""
    forward = [one for one in blocks if one.first < one.last]
    backward = [one for one in blocks if one.first >= one.last]
    forward.sort(key=lambda one: one.first)
    for one, other in pairwise(forward):
        # Neighbours are enough: what reaches over a later one's beginning reaches over the next one's.
        if other.first < one.last:
            return _overlapping(one, other)
    ends = [one.last for one in forward]
    for other in backward:
        # Only the first of the disjoint ones that ends after `other.first` can reach around it.
        place = bisect_right(ends, other.first)
        if place < len(forward) and forward[place].first < other.last:
            return _overlapping(forward[place], other)
    # The sort is stable: of equals those with first < last come first.
    return sorted(forward + backward, key=lambda one: one.last if one.last > one.first else one.first)


def _overlapping(one: Block, other: Block) -> Violation:
    """Each was there, at least in part, before the other; `one` may be the block of the first value."""
    if other.first == -INFINITY:
        one, other = other, one
    begin = one.first == -INFINITY
    core = (one.begun, *_proof(one), other.ended)
    if not begin:
        core += (one.ended, other.begun, *_proof(other))
    for block in (one, other):
        core += _append_shown_by(block.shows, *(o for o in (block.ended, block.begun) if o in core))
    telling = format.Telling()
    for block in (one, other):
        telling.saw([o for o in core if o in block.order], _source(block))
    if not begin:
        telling.over_before(one.ended, other.begun)
    telling.over_before(other.ended, one.begun)
    return Violation(core, telling.so(_why_both(one, other)))


def _why_both(one: Block, other: Block) -> str:
    """What two blocks that each had to precede the other come to."""
    begun, lost = one.begun, other.writer is not None and other.writer.f == "append"
    if one.first == -INFINITY:
        if begun.f == "append" and format.changes(begun):
            if one.shows is not None:
                return f"but {format.name(one.shows)} shows that appended to what was there only at first"
            return "but an append takes a list, or nothing, and nothing brought that back"
        if lost:
            return f"but {format.name(begun)} does not show it, and what it shows came of no write"
        made = any(format.changes(operation) for operation in one.order[: one.order.index(begun)])
        return f"but {format.seen(begun)}{' came of what' if made else ''} was there only at first"
    if lost and not format.changes(begun):
        return f"so it was appended to {_content(one)}, and {format.name(begun)} does not show it"
    this, that = _content(one), _content(other)
    return f"so {this} came before {that}, and {that} before {this}, and neither came twice"


def _source(block: Block) -> str:
    """Where what a block's observers saw came from; "" for what was there first."""
    if block.writer is None:
        return ""
    return f", which {'only' if _plain(block) else 'came of'} {format.name(block.writer)}{' wrote' * _plain(block)}"


def _content(block: Block) -> str:
    """What was there in a block's time."""
    if block.writer is None:
        return "what was there first"
    if len(block.order) == 1:
        return format.name(block.writer)
    value = format.shown(block.writer.value)
    return value if _plain(block) else f"what came of {value}"


def _plain(block: Block) -> bool:
    """Whether there is nothing in it but one value."""
    return not any(o.f in ("cas", "append") and o.status != "refused" for o in block.order)


def _proof(one: Block) -> tuple[Operation, ...]:
    """That the operation called last in a block happened at all: the last one of it that certainly did."""
    if one.begun.status != "unknown":
        return ()
    return (next(operation for operation in reversed(one.order) if operation.status != "unknown"),)


def witness(blocks: Iterable[Block]) -> list[Operation]:
    """The order of operations that an order of blocks makes."""
    return [operation for one in blocks for operation in one.order]
