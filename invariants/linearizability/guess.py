"""A guess at an order, before the search: depth first, each operation just in time for its return (after Lowe, 2017).

Most histories have many orders, and simple preferences lead straight to one of them, for a fraction of what a search
costs. A guess proves nothing: whoever asks for one replays it, and searches if there is none. So it prepares less than
`problem` does: who wants, writes and expects which value, as sets of operations in the bits of integers.

An operation that changes nothing is placed as soon as the state allows it. Another one is placed when one that returns
needs it. A write covers all open ones that have to be placed: each can come right before it, unseen, unless it is
placed later while it is still open. Operations of unknown outcome are placed only where they are needed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from typing import TypeAlias

from raft_chaos.invariants.linearizability.blocks import INFINITY, call_of
from raft_chaos.invariants.linearizability.operations import NOT_REPORTED, Model, Operation
from raft_chaos.invariants.linearizability.states import FIRST
from raft_chaos.invariants.linearizability.values import Frozen

NOTHING = -1
"""In place of a value: none. In place of a set of tasks: none of them is placed now."""

NEVER = float("nan")
"""A call that comes before no return, not even before INFINITY."""

MOST_OPERATIONS = 2_000
"""In longer histories the sets cost more, and a guess often fails."""

OPERATIONS_PER_RETREAT = 4
"""A guess at first takes back one choice for so many operations and a few, and then one more for each operation."""

BITS = [1]
"""The bit of each task. The list grows with the longest key so far, since shifting anew costs more than a look."""

Time: TypeAlias = int | float
"""An integer, or infinite: compiled, a float would be one of C, which rounds today's times in nanoseconds."""

Path: TypeAlias = list[int]
"""The tasks in the order in which they come. A negative number is a set of tasks that come there, except those that
come later: the bits of its absolute value."""


def guess(operations: Sequence[Operation], model: Model) -> Iterator[list[Operation] | None]:
    """An order of one key's operations, if one is found with few steps back. Otherwise None, since a violation is then
    likely enough to look for one; and then an order, if one is found with more steps back.

    Nothing for the models that only append, if there are appends, or if an operation contradicts itself.
    """
    if model not in ("register", "kv") or len(operations) > MOST_OPERATIONS:
        return
    try:
        tasks = _tasks(operations, defaultdict(count(FIRST + 1).__next__, {None: FIRST}))
    except TypeError:  # a value that cannot be hashed
        tasks = _tasks(operations, Frozen(count(FIRST + 1).__next__, {None: FIRST}))
    if tasks is not None:
        for path in _paths(tasks):
            yield None if path is None else _order(tasks.operations, path)


@dataclass(slots=True)
class Tasks:
    """One key's operations by their calls; a task is an index of them. States have the numbers of their values."""

    operations: list[Operation]
    needs: list[int]
    """The state that each task requires: NOTHING for a write, and for a refused task that says only what it is not."""
    gives: list[int]
    """The state that it leads to: NOTHING for a task that changes nothing."""
    ends: list[Time]
    """When it returns: at INFINITY if its outcome is unknown."""
    following: list[int]
    """The state required by the first to return of those that are called from this task on."""
    calls: list[Time]
    """When they are called, and NEVER at the end."""
    certain: list[int]
    """The tasks that must be placed, by their returns."""
    must: int
    """The same as a set, as all that follow."""
    all_reads: int
    all_writes: int
    writes: list[int]
    """For each state the writes that lead to it; then the cas from it, the cas to it, and those that change nothing and
    can be placed in it."""
    cas_from: list[int]
    cas_to: list[int]
    fits: list[int]


def _tasks(operations: Sequence[Operation], numbers: defaultdict[Hashable, int]) -> Tasks | None:
    """None if no order is to be guessed. `numbers` gives each value a number when it is first asked for it."""
    ordered = sorted(operations, key=call_of)
    size = len(ordered)
    while len(BITS) <= size:
        BITS.append(BITS[-1] << 1)
    reads, refusals, writes, cas_from, cas_to = ([0] * (2 * size + 1) for _ in range(5))
    needs, gives = [NOTHING] * size, [NOTHING] * size
    ends: list[Time] = [INFINITY] * size
    certain: list[int] = []
    must = 0
    for task, bit, operation in zip(range(size), BITS, ordered):  # noqa: B905
        f, status = operation.f, operation.status
        if status != "unknown":
            must |= bit
            certain.append(task)
            if operation.returned is not None:
                ends[task] = operation.returned
        if f == "read":
            if status != "unknown":
                needs[task] = need = numbers[operation.result]
                reads[need] |= bit
        elif f == "append":
            return None
        elif status == "refused":
            expected = numbers[operation.expected]
            if operation.result is NOT_REPORTED:
                refusals[expected] |= bit
            else:
                needs[task] = need = numbers[operation.result]
                reads[need] |= bit
                if need == expected:
                    return None
        elif f == "cas":
            need, given = numbers[operation.expected], numbers[operation.value]
            if need != given:
                needs[task], gives[task] = need, given
                cas_from[need] |= bit
                cas_to[given] |= bit
            elif status != "unknown":
                needs[task] = need
                reads[need] |= bit
        else:
            gives[task] = given = FIRST if f == "delete" else numbers[operation.value]
            writes[given] |= bit
    certain.sort(key=ends.__getitem__)
    # No state has a higher number.
    del reads[len(numbers) :], refusals[len(numbers) :], writes[len(numbers) :]
    all_refusals = sum(refusals)
    return Tasks(
        operations=ordered,
        needs=needs,
        gives=gives,
        ends=ends,
        following=_following(needs, ends),
        calls=[*map(call_of, ordered), NEVER],
        certain=certain,
        must=must,
        all_reads=sum(reads),
        all_writes=sum(writes),
        writes=writes,
        cas_from=cas_from,
        cas_to=cas_to,
        fits=[found | all_refusals ^ refused for found, refused in zip(reads, refusals, strict=True)],
    )


def _following(needs: list[int], ends: list[Time]) -> list[int]:
    soonest: Time = INFINITY
    needed = NOTHING
    following = [NOTHING]
    for need, end in zip(reversed(needs), reversed(ends), strict=True):
        if end < soonest and need != NOTHING:
            soonest, needed = end, need
        following.append(needed)
    following.reverse()
    return following


def _paths(tasks: Tasks) -> Iterator[Path | None]:
    """As `guess`.

    `due` is the task that returns, in its `turn`, and `called` the number of tasks called until then. Of these, those
    of `is_open` may still be placed. Those that are also in `owing` must be; others are of unknown outcome or covered.
    """
    bits, calls, ends, certain, following = BITS, tasks.calls, tasks.ends, tasks.certain, tasks.following
    needs, gives, fits, all_writes = tasks.needs, tasks.gives, tasks.fits, tasks.all_writes
    turn, due, bit, called, state, is_open, owing = -1, NOTHING, 0, 0, FIRST, 0, tasks.must
    path: Path = []
    left: list[tuple[Iterator[int] | None, int, int, int, int, int, int]] = []
    dead: set[tuple[int, int, int, int]] = set()
    last, retreats, more = len(certain) - 1, 20 + len(needs) // OPERATIONS_PER_RETREAT, len(needs)
    while True:
        while not is_open & bit:
            if turn == last:
                yield path
                return
            turn += 1
            due = certain[turn]
            bit, end = bits[due], ends[due]
            if calls[called] <= end:
                before = bits[called]
                called += 1
                while calls[called] <= end:
                    called += 1
                is_open |= bits[called] - before
                if seen := is_open & fits[state]:
                    is_open ^= seen
                    path.append(-seen)
        placed, choices = 0, None
        if not dead or (turn, state, is_open, owing) not in dead:
            if not owing & bit and following[called] != gives[due]:
                placed = NOTHING  # it is covered where it is
            elif needs[due] == state:
                placed = bit  # a cas
            else:
                choices = _choices(tasks, due, following[called], state, is_open, owing)
                placed = next(choices, 0)
            if placed:
                left.append((choices, turn, called, state, is_open, owing, len(path)))
        while not placed:
            if not left or not (retreats or more):
                return
            if not retreats:
                yield None
                retreats, more = more, 0
            choices, turn, called, state, is_open, owing, length = left.pop()
            due = certain[turn]
            if choices is None:
                choices = _choices(tasks, due, following[called], state, is_open, owing)
            if placed := next(choices, 0):
                retreats -= 1
                left.append((choices, turn, called, state, is_open, owing, length))
                del path[length:]
                bit = bits[due]
            else:
                dead.add((turn, state, is_open, owing))
        if placed == NOTHING:
            is_open ^= bit
            continue
        task = due if placed == bit else _soonest(placed, ends)
        is_open ^= bits[task]
        if needs[task] == NOTHING and (covered := is_open & owing & all_writes):
            owing ^= covered
            path.append(-covered)
        path.append(task)
        state = gives[task]
        if seen := is_open & fits[state]:
            is_open ^= seen
            path.append(-seen)


def _choices(tasks: Tasks, due: int, following: int, state: int, is_open: int, owing: int) -> Iterator[int]:
    """Sets of tasks, of each of which one may be placed now that `due` returns: the most promising set first, without
    what `_paths` has tried already. NOTHING: `due` is covered where it is."""
    bit, need, given, writes = BITS[due], tasks.needs[due], tasks.gives[due], tasks.writes
    owed, leaving = is_open & owing, is_open & tasks.cas_from[state]
    if need == state:
        yield from filter(None, [(leaving & owed) ^ bit])
        return
    # A write ends a state and covers others, so the values for which reads wait come before.
    waiting = owed & tasks.all_reads & ~bit
    while waiting:
        task = waiting.bit_length() - 1
        waiting ^= BITS[task]
        if wanted := writes[tasks.needs[task]] & is_open & tasks.must:
            yield wanted
    if need == NOTHING and given != NOTHING:
        if following not in (NOTHING, given) and (wanted := writes[following] & is_open & tasks.must):
            yield wanted
        if leaving & owed:
            yield leaving & owed
        yield bit
        if following == given and not owed & bit:
            yield NOTHING
        return
    chances = is_open ^ owed
    if need == NOTHING:
        others = tasks.all_writes & ~writes[state]
        yield from filter(None, [leaving & owed, others & owed, others & chances, leaving & chances])
        return
    direct, changes = writes[need], is_open & tasks.cas_to[need]
    yield from filter(None, [leaving & changes & owed, direct & owed, direct & chances])
    if leaving or changes:
        yield from filter(None, [leaving & changes & chances, leaving & owed])
        for task in _members(changes):
            before = tasks.needs[task]
            if before != state:
                between = writes[before] | tasks.cas_to[before] & leaving
                yield from filter(None, [between & owed, between & chances])


def _soonest(tasks: int, ends: list[Time]) -> int:
    """Of a set of tasks the one that returns first."""
    return min(_members(tasks), key=ends.__getitem__) if tasks & tasks - 1 else tasks.bit_length() - 1


def _members(tasks: int) -> list[int]:
    found = []
    while tasks:
        task = tasks.bit_length() - 1
        tasks ^= BITS[task]
        found.append(task)
    return found


def _order(operations: list[Operation], path: Path) -> list[Operation]:
    """The operations in the order of a path."""
    later = 0
    order: list[Operation] = []
    for step in reversed(path):
        if step >= 0:
            later |= BITS[step]
            order.append(operations[step])
        else:
            members = -step & ~later
            while members:
                task = members.bit_length() - 1
                members ^= BITS[task]
                order.append(operations[task])
    order.reverse()
    return order
