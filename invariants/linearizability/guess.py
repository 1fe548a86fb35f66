"""A guess at an order, before the search: depth first, each operation just in time for its return (after Lowe, 2017).

Most histories have many orders, and simple preferences lead straight to one of them, for a fraction of what a search
costs: all that it needs are the events in order, and sets of operations as bits of integers. A guess proves nothing.
Whoever asks for one replays it, and searches if there is none.

An operation that changes nothing is placed as soon as the state allows it. Another one is placed when one that returns
needs it. A write covers all open ones that have to be placed: each can come right before it, unseen, unless it is
placed later while it is still open. Operations of unknown outcome are placed only where they are needed.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TypeAlias

from raft_chaos.invariants.linearizability.operations import NOT_REPORTED, Operation
from raft_chaos.invariants.linearizability.values import frozen

READ, NOT, WRITE, CAS = range(4)
"""The state is `need`. The state is not `need`. It becomes `gives`. It is `need` and becomes `gives`."""

FIRST = 0
"""The number of the value None, with which a key begins."""
NOTHING = -1
"""In place of a task: none is placed. In place of a value: none is needed."""

AT_THE_END = float("inf")

OPERATIONS_PER_RETREAT = 4
"""A guess is given up once it has taken back more choices than one for so many operations, and a few."""

Path: TypeAlias = "tuple[Path, int, int, int] | None"
"""What was done, last first: (before, covered, task, seen). The writes of `covered` come before the task, unless they
are placed elsewhere, and the operations of `seen` after it."""


def guess(operations: Sequence[Operation]) -> list[Operation] | None:
    """An order of one key's operations in the models `register` and `kv`, if a short look finds one.

    None too if there are appends, or if an operation contradicts itself.
    """
    history = History()
    if not all(map(history.add, operations)):
        return None
    history.complete()
    path = _look(history)
    return None if path is None else history.order(path)


class History:
    """One key's operations as tasks. `add` all of them, then `complete`.

    `need` and `gives` are numbers of values. By such a number the masks hold who reads it, refuses it and writes it,
    and which cas expect it and lead to it. `events` has the calls (`task * 2`) and returns (`task * 2 + 1`) in order;
    at equal times calls come first. `returns` are places in it. `following` has, for each place, the value needed by
    the first to return of those that are called from there on.
    """

    def __init__(self) -> None:
        self.operations: list[Operation] = []
        self.kind: list[int] = []
        self.need: list[int] = []
        self.gives: list[int] = []
        self.must: list[bool] = []
        self.events: list[int] = []
        self._times: list[float] = []
        self._numbers: dict[Hashable, int] = {None: FIRST}

    def add(self, operation: Operation) -> bool:
        """False if no order is to be guessed."""
        numbers = self._numbers
        f, must = operation.f, operation.status != "unknown"
        need = gives = FIRST
        if f == "read":
            if not must:
                return True
            kind, need = READ, numbers.setdefault(frozen(operation.result), len(numbers))
        elif f == "append":
            return False
        elif operation.status == "refused":
            kind, need = NOT, numbers.setdefault(frozen(operation.expected), len(numbers))
            if operation.result is not NOT_REPORTED:
                found = numbers.setdefault(frozen(operation.result), len(numbers))
                if found == need:
                    return False
                kind, need = READ, found
        else:
            kind = WRITE
            if f != "delete":
                gives = numbers.setdefault(frozen(operation.value), len(numbers))
            if f == "cas":
                need = numbers.setdefault(frozen(operation.expected), len(numbers))
                kind = CAS if need != gives else READ
                if kind == READ and not must:
                    return True
        event = 2 * len(self.kind)
        self.operations.append(operation)
        self.kind.append(kind)
        self.need.append(need)
        self.gives.append(gives)
        self.must.append(must)
        self.events.append(event)
        returned = operation.returned
        self._times += (operation.called * 2, AT_THE_END if returned is None else returned * 2 + 1)
        if must:
            self.events.append(event + 1)
        return True

    def complete(self) -> None:
        self.events.sort(key=self._times.__getitem__)
        self._look_ahead()
        size = len(self._numbers)
        reads, nots, writes, cas_from, cas_to = ([0] * size for _ in range(5))
        self.reads, self.nots, self.writes, self.cas_from, self.cas_to = reads, nots, writes, cas_from, cas_to
        self.all_reads = self.all_nots = self.all_writes = self.chances = 0
        bit = 1
        for kind, need, gives, must in zip(self.kind, self.need, self.gives, self.must, strict=True):
            if kind == READ:
                reads[need] |= bit
                self.all_reads |= bit
            elif kind == WRITE:
                writes[gives] |= bit
                self.all_writes |= bit
            elif kind == CAS:
                cas_from[need] |= bit
                cas_to[gives] |= bit
            else:
                nots[need] |= bit
                self.all_nots |= bit
            if not must:
                self.chances |= bit
            bit <<= 1

    def _look_ahead(self) -> None:
        need, kind, must, events = self.need, self.kind, self.must, self.events
        soonest, needed = len(events), NOTHING
        returns = self.returns = [soonest] * len(need)
        following = [NOTHING]
        for place in range(len(events) - 1, -1, -1):
            event = events[place]
            task = event >> 1
            if event & 1:
                returns[task] = place
            elif must[task] and kind[task] in (READ, CAS) and returns[task] < soonest:
                soonest, needed = returns[task], need[task]
            following.append(needed)
        following.reverse()
        self.following = following

    # ---- what can be done when a task returns ----

    def options(self, place: int, due: int, state: int, is_open: int, owed: int) -> list[int]:
        """The tasks to place now that `due` returns, the most promising one first, since it must be placed or can be.
        NOTHING: it is covered where it is."""
        kind, need, gives, following = self.kind[due], self.need[due], self.gives[due], self.following[place]
        is_owed = owed >> due & 1
        if not is_owed and gives == state:
            return [NOTHING]
        leaving = self.cas_from[state] & is_open
        if kind == CAS and need == state:
            masks = [1 << due, leaving & owed & ~(1 << due)]
        else:
            masks = self._wanted(due, is_open, owed) if owed & self.all_reads & ~(1 << due) else []
            if kind == WRITE:
                if following not in (NOTHING, gives):
                    masks.append(self.writes[following] & is_open & ~self.chances)
                masks += [leaving & owed, 1 << due]
            elif kind == NOT:
                writes = self.all_writes & ~self.writes[state] & is_open
                masks += [leaving & owed, writes & owed, writes & ~owed, leaving & ~owed]
            else:
                writes, changes = self.writes[need] & is_open, self.cas_to[need] & is_open
                masks += [leaving & changes & owed, writes & owed, writes & ~owed]
                if changes or leaving:
                    masks += self._by_two_steps(changes, leaving, state, is_open, owed)
        found = [mask.bit_length() - 1 if not mask & (mask - 1) else self._soonest(mask) for mask in masks if mask]
        if not is_owed:
            found.insert(0 if following != gives else len(found), NOTHING)
        return found

    def _wanted(self, due: int, is_open: int, owed: int) -> list[int]:
        """The writes of values for which reads wait. A write ends a state and covers others, so these come before."""
        masks = []
        waiting = owed & self.all_reads & ~(1 << due)
        while waiting:
            bit = waiting & -waiting
            waiting ^= bit
            masks.append(self.writes[self.need[bit.bit_length() - 1]] & is_open & ~self.chances)
        return masks

    def _by_two_steps(self, changes: int, leaving: int, state: int, is_open: int, owed: int) -> list[int]:
        """The cas out of this state, and what leads to the values that the cas `changes` expect."""
        masks = [leaving & changes & ~owed, leaving & owed]
        while changes:
            bit = changes & -changes
            changes ^= bit
            before = self.need[bit.bit_length() - 1]
            if before != state:
                between = (self.writes[before] | self.cas_to[before] & leaving) & is_open
                masks += [between & owed, between & ~owed]
        return masks

    def _soonest(self, mask: int) -> int:
        """Of the tasks of a mask the one that returns first."""
        return min(_tasks(mask), key=self.returns.__getitem__)

    def order(self, path: Path) -> list[Operation]:
        """The operations in the order of a path."""
        steps: list[tuple[int, int, int]] = []
        placed = 0
        while path is not None:
            path, covered, task, seen = path
            steps.append((covered, task, seen))
            placed |= 1 << task
        order: list[int] = []
        for covered, task, seen in reversed(steps):
            if covered:
                order += _tasks(covered & ~placed)
            order.append(task)
            if seen:
                order += _tasks(seen)
        return [self.operations[task] for task in order]


def _tasks(mask: int) -> list[int]:
    found = []
    while mask:
        bit = mask & -mask
        mask ^= bit
        found.append(bit.bit_length() - 1)
    return found


def _look(history: History) -> Path:
    """The path to the end, or None."""
    events, kinds, needs, must, gives = history.events, history.kind, history.need, history.must, history.gives
    reads, nots, all_nots, all_writes = history.reads, history.nots, history.all_nots, history.all_writes
    place, due, state = 0, NOTHING, FIRST
    path: Path = None
    is_open = owed = 0  # those that may be placed: writes and cas; and those that must be placed, reads too
    left: list[tuple[int, int, int, int, int, Path, int]] = []  # the choices that were not taken
    known: set[tuple[int, int, int, int]] = set()
    retreats = 20 + len(kinds) // OPERATIONS_PER_RETREAT
    while True:
        if due == NOTHING or not (is_open | owed) >> due & 1:
            while place < len(events):
                event = events[place]
                place += 1
                task = event >> 1
                if event & 1:
                    if (is_open | owed) >> task & 1:
                        due = task
                        break
                elif kinds[task] >= WRITE:
                    is_open |= 1 << task
                    if must[task]:
                        owed |= 1 << task
                elif (needs[task] == state) == (kinds[task] == READ):
                    path = (path, 0, task, 0)
                else:
                    owed |= 1 << task
            else:
                return path
        at = place, state, is_open, owed
        options = history.options(place, due, state, is_open, owed) if at not in known else []
        if options:
            task = options[0]
            if len(options) > 1:
                known.add(at)
                left += [(place, due, state, is_open, owed, path, other) for other in options[:0:-1]]
        elif left and retreats:
            retreats -= 1
            place, due, state, is_open, owed, path, task = left.pop()
        else:
            return None
        if task == NOTHING:
            is_open &= ~(1 << due)
            continue
        keep = ~(1 << task)
        is_open &= keep
        owed &= keep
        covered = owed & all_writes if kinds[task] == WRITE else 0
        owed ^= covered
        state = gives[task]
        seen = (reads[state] | all_nots & ~nots[state]) & owed
        owed ^= seen
        path = path, covered, task, seen
