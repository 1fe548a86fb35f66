"""One key's states as small integers: each observable state has its own number, all others share one or two numbers.

States that no operation can distinguish need no separate number: a value that is never read or expected is ELSE_VALUE
or, if it is a list, ELSE_LIST. Lists (and the strings of `kv-append`) grow by appending, so the numbered ones form a
tree: a state is numbered if it is observed, or if appends can extend it to an observed one.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Any

from raft_chaos.invariants.linearizability.operations import Model
from raft_chaos.invariants.linearizability.values import frozen

FIRST, ELSE_VALUE, ELSE_LIST, NEVER = 0, 1, 2, -1
"""The initial state; the two shared states; and a state that no operation leads to."""


class States:
    """Numbers the states. `observed` assigns numbers while the history is read; the other methods look them up."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.parent = [NEVER, NEVER, NEVER]
        self.lump = [ELSE_LIST if model in ("kv", "list-append") else ELSE_VALUE, ELSE_VALUE, ELSE_LIST]
        """For each state, the shared state that replaces it once no operation can distinguish it any more."""
        self._values: dict[Hashable, int] = {} if model in ("list-append", "kv-append") else {None: FIRST}
        self._children: dict[tuple[int, Hashable], int] = {}
        self._longest: tuple[Any, list[int]] = ([], [FIRST])  # the last sequence walked, and its states by length
        self._strings: dict[tuple[int, str], int] = {}

    def __len__(self) -> int:
        return len(self.parent)

    def observed(self, value: Any) -> int:
        """The state with this value, with a new number if needed. NEVER for a value that no operations can produce."""
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
        """For each state the place of the last event at which it must be distinguished from others, -1 for never.

        `uses` has the last event that observes a state directly. A state is also needed as long as a state that appends
        can extend it to. A `conditional` operation (from, to, until) of unknown outcome observes `from` only if `to` is
        needed.
        """
        last = [-1] * len(self.parent)
        into: dict[int, list[tuple[int, int]]] = {}
        for source, target, until in conditional:
            into.setdefault(target, []).append((source, until))
        raised = []
        for state, last_use in uses.items():
            last[state] = last_use
            raised.append(state)
        while raised:
            state = raised.pop()
            last_use = last[state]
            needed = [(source, min(until, last_use)) for source, until in into.get(state, ())]
            for source, until in (*needed, (self.parent[state], last_use)):
                if source >= 0 and last[source] < until:
                    last[source] = until
                    raised.append(source)
        last[ELSE_VALUE] = last[ELSE_LIST] = 1 << 62
        return last
