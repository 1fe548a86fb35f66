"""Client histories of a store that is linearizable by construction, or has exactly one bug.

Each operation takes effect in one step between its invocation and its answer. An operation that ends as info may take
effect at any later step instead, or never. Each register has one writer, all clients append to lists, one key is mixed.
"""

from __future__ import annotations

from random import Random

from event_scripts import History
from raft_chaos.invariants.history import OpFunction, Value

CLIENTS = ["c0", "c1", "c2"]
BUGS = {
    "loses_puts": "acknowledged_writes",
    "loses_appends": "acknowledged_writes",
    "appends_twice": "acknowledged_writes",
    "fails_but_writes": "acknowledged_writes",
    "stale_reads": "monotonic_reads",
    "reversed_lists": "monotonic_reads",
}
"""Each bug that a tiny store can have, and an invariant that it must break sooner or later."""


class TinyStore:
    """`run` makes a whole history, in `history.ops`."""

    def __init__(self, seed: int, bug: str | None = None) -> None:
        self.random = Random(seed)
        self.bug = bug
        self.history = History()
        self.state: dict[str, Value] = {}
        self.older: list[dict[str, Value]] = [{}]
        self.late: list[tuple[OpFunction, str, str]] = []
        self.written = 0

    def run(self, steps: int) -> TinyStore:
        # What each client has open: (name, f, key, value, whether it took effect, what it read).
        pending: dict[str, tuple[str, OpFunction, str, str, bool, Value]] = {}
        for _ in range(steps):
            client = self.random.choice(CLIENTS)
            if self.late and self.random.random() < 0.2:
                self.write(*self.late.pop(self.random.randrange(len(self.late))))
            elif client not in pending:
                f, key, value = self.draw(client)
                op = self.history.invoke(client, f, key, None if f == "get" else value)
                pending[client] = (op, f, key, value, False, None)
            elif not pending[client][4] and self.random.random() < 0.8:
                op, f, key, value, _, _ = pending[client]
                pending[client] = (op, f, key, value, True, self.effect(f, key, value))
            else:
                self.answer(*pending.pop(client))
        return self

    def draw(self, client: str) -> tuple[OpFunction, str, str]:
        self.written += 1
        value = f"v{self.written}"
        f: OpFunction
        if self.random.random() < 0.5:
            return "get", self.random.choice(["reg/c0", "reg/c1", "list", "mix"]), value
        key = self.random.choice([f"reg/{client}", "list", "mix"])
        f = "append" if key == "list" else "put" if key != "mix" else self.random.choice(["put", "delete"])
        return f, key, value

    def effect(self, f: OpFunction, key: str, value: str) -> Value:
        if f != "get":
            self.write(f, key, value)
            return None
        state = self.state
        if self.bug == "stale_reads" and self.random.random() < 0.3:
            state = self.random.choice(self.older)
        found = state.get(key)
        if self.bug == "reversed_lists" and isinstance(found, list) and self.random.random() < 0.5:
            return found[::-1]
        return found

    def write(self, f: OpFunction, key: str, value: str) -> None:
        self.older.append(self.state)
        lost = self.random.random() < 0.3
        if f == "put" and not (self.bug == "loses_puts" and lost):
            self.state = {**self.state, key: value}
        elif f == "delete":
            self.state = {**self.state, key: None}
        elif f == "append" and not (self.bug == "loses_appends" and lost):
            times = 2 if self.bug == "appends_twice" and lost else 1
            before = self.state.get(key)
            self.state = {**self.state, key: [*(before if isinstance(before, list) else []), *[value] * times]}

    def answer(self, op: str, f: OpFunction, key: str, value: str, done: bool, read: Value) -> None:
        if done and self.random.random() < 0.8:
            self.history.ok(op, read)
        elif self.random.random() < 0.5 and (not done or f == "get" or self.bug == "fails_but_writes"):
            self.history.fail(op)
        else:
            self.history.info(op)
            if not done and f != "get":
                self.late.append((f, key, value))
