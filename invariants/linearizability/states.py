"""One key's states as small integers: those that somebody may observe by name, and all others in one or two lumps.

A state that no operation can tell from another needs no name of its own: what nobody ever reads, or expects, is
ELSE_VALUE or, for a list, ELSE_LIST. Lists (and the strings of `kv-append`) grow by appending, so those that are named
form a tree: a state is named if somebody observes it or something that appends can make of it.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Any

from raft_chaos.invariants.linearizability.operations import Model
from raft_chaos.invariants.linearizability.values import frozen

FIRST, ELSE_VALUE, ELSE_LIST, NEVER = 0, 1, 2, -1
"""The state of an untouched key; the two lumps; and what no operation leads to."""


class States:
    """Names given out by `observed`, while the observations of a history are gone through; then looked up."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.parent = [NEVER, NEVER, NEVER]
        self.lump = [ELSE_LIST if model in ("kv", "list-append") else ELSE_VALUE, ELSE_VALUE, ELSE_LIST]
        """Where a state goes once nobody can tell it from others any more."""
        self._values: dict[Hashable, int] = {} if model in ("list-append", "kv-append") else {None: FIRST}
        self._children: dict[tuple[int, Hashable], int] = {}
        self._longest: tuple[Any, list[int]] = ([], [FIRST])  # the last sequence walked, and its states by length
        self._strings: dict[tuple[int, str], int] = {}

    def __len__(self) -> int:
        return len(self.parent)

    def observed(self, value: Any) -> int:
        """The state with this value, which gets a name of its own. NEVER for what no operations can make."""
        if self.model == "list-append":
            return self._sequence(list(value or ()))
        if self.model == "kv-append":
            return self._sequence(value or "")
        if self.model == "kv" and isinstance(value, list | tuple):
            return self._sequence(list(value)) if value else NEVER
        key = frozen(value)
        state = self._values.get(key)
        if state is None:
            state = self._values[key] = self._new(NEVER, ELSE_VALUE)
        return state

    def _sequence(self, items: Any) -> int:
        longest, states = self._longest
        size = len(items)
        if size <= len(longest) and longest[:size] == items:
            return states[size]
        shared = 0
        if size > len(longest) and items[: len(longest)] == longest:
            shared = len(longest)
        path = states[: shared + 1]
        state = path[-1]
        for item in items[shared:]:
            edge = (state, frozen(item))
            child = self._children.get(edge)
            if child is None:
                child = self._children[edge] = self._new(state, self.lump[FIRST])
            path.append(child)
            state = child
        self._longest = (items, path)
        return state

    def _new(self, parent: int, lump: int) -> int:
        self.parent.append(parent)
        self.lump.append(lump)
        return len(self.parent) - 1

    # ---- what operations lead to ----

    def written(self, value: Any) -> int:
        """The state that a write of this value leads to."""
        if self.model == "kv-append":
            return self.appended(FIRST, value)
        return self._values.get(frozen(value), ELSE_VALUE)

    def appended(self, state: int, value: Any) -> int:
        """The state after an append; NEVER if the state is a string that refuses it."""
        if self.model == "kv-append":
            return self._concatenated(state, value)
        if state == ELSE_LIST:
            return ELSE_LIST
        if self.is_string(state):
            return NEVER
        return self._children.get((state, frozen(value)), ELSE_LIST)

    def is_string(self, state: int) -> bool:
        """Whether the state is, in `kv`, a string."""
        return self.lump[state] == ELSE_VALUE

    def _concatenated(self, state: int, value: str) -> int:
        if state == ELSE_VALUE:
            return ELSE_VALUE
        edge = (state, value)
        known = self._strings.get(edge)
        if known is None:
            for character in value:
                state = self._children.get((state, character), ELSE_VALUE)
                if state == ELSE_VALUE:
                    break
            known = self._strings[edge] = state
        return known

    def last_uses(self, uses: dict[int, int], conditional: Iterable[tuple[int, int, int]]) -> list[int]:
        """For each state the last moment at which it must be told from others, -1 for never.

        `uses` are the moments of those who observe it themselves; what appends can make of it needs it as well; and a
        `conditional` operation (from, to, until) of unknown outcome observes `from` only for the sake of `to`.
        """
        last = [-1] * len(self.parent)
        into: dict[int, list[tuple[int, int]]] = {}
        for source, target, until in conditional:
            into.setdefault(target, []).append((source, until))
        raised = []
        for state, moment in uses.items():
            last[state] = moment
            raised.append(state)
        while raised:
            state = raised.pop()
            moment = last[state]
            needed = [(source, min(until, moment)) for source, until in into.get(state, ())]
            for source, until in (*needed, (self.parent[state], moment)):
                if source >= 0 and last[source] < until:
                    last[source] = until
                    raised.append(source)
        last[ELSE_VALUE] = last[ELSE_LIST] = 1 << 62
        return last
