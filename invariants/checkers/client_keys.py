"""What clients wrote to each key, and which reads of it can be judged without searching for a linearization.

A key is a *register* if a single client writes it, only with puts, one after the other: its values have a known order.
It is a *list* if all its writes are appends. In both, each value is written once. Any other key (puts by several
clients, cas, delete, a value written twice) is *mixed* from the first operation that makes it so, and is left to the
linearizability checker. Violations found before that still count: an operation that was invoked later cannot explain
what was read earlier.

Keys are new: nobody wrote to them before the run. Operations are observed in the order in which the clients saw
them (the order of `history.jsonl`), and "before" means earlier in it.
A write's `outcome` says what is certain about it:

    ok     it took effect once, between its invocation and its answer
    fail   it never took effect, and never will
    info   it may take effect once, at any time after its invocation, even after the client's later writes
    open   it is not answered yet; at the end of the run this means the same as info
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from raft_chaos.invariants.history import Op

Shape: TypeAlias = Literal["unwritten", "register", "list", "mixed"]


@dataclass(slots=True)
class Write:
    """One put or append; `position` counts the writes of its key, from 0, in the order of their invocations."""

    invoke: Op
    position: int
    outcome: Literal["open", "ok", "fail", "info"] = "open"
    answer: Op | None = None
    read_by: Op | None = None  # the first read that returned its value


@dataclass(slots=True)
class Key:
    """A key's writes by value, its acknowledged writes (in the order of the answers), and how many reads ended."""

    name: str
    shape: Shape = "unwritten"
    last_write: Write | None = None
    writes: dict[str, Write] = field(default_factory=dict)
    acked: list[Write] = field(default_factory=list)
    reads: int = 0


@dataclass(frozen=True, slots=True)
class Read:
    """A get that ended ok, and how many writes and reads of its key had ended ok when it was invoked."""

    key: Key
    invoke: Op
    answer: Op
    acked_before: int
    reads_before: int


@dataclass(frozen=True, slots=True)
class _OpenRead:
    invoke: Op
    acked_before: int
    reads_before: int


class ClientKeys:
    """Follows a history. Returns each write when it ends, and each read that can be judged when it ends."""

    def __init__(self) -> None:
        self.keys: dict[str, Key] = {}
        self._open_writes: dict[str, Write] = {}
        self._open_reads: dict[str, _OpenRead] = {}

    def observe(self, op: Op) -> Read | Write | None:
        """Takes one operation. Ignores an answer to an operation that was never invoked or was answered before."""
        if op.type == "invoke":
            self._on_invoke(op)
            return None
        if op.f == "get":
            read = self._open_reads.pop(op.op, None)
            return self._on_read(read, op) if read is not None and op.type == "ok" else None
        write = self._open_writes.pop(op.op, None)
        if write is not None:
            write.outcome, write.answer = op.type, op
            if op.type == "ok":
                self.keys[op.key].acked.append(write)
        return write

    def mixed(self) -> int:
        """How many keys are left to the linearizability checker."""
        return sum(key.shape == "mixed" for key in self.keys.values())

    def _on_read(self, read: _OpenRead, answer: Op) -> Read | None:
        key = self.keys[read.invoke.key]
        if key.shape == "mixed":
            return None
        key.reads += 1
        return Read(key, read.invoke, answer, read.acked_before, read.reads_before)

    def _on_invoke(self, op: Op) -> None:
        key = self.keys.get(op.key)
        if key is None:
            key = self.keys[op.key] = Key(op.key)
        if op.f == "get":
            self._open_reads[op.op] = _OpenRead(op, len(key.acked), key.reads)
            return
        key.shape = self._shape_with(key, op)
        if key.shape != "mixed":
            assert isinstance(op.value, str)
            write = Write(op, len(key.writes))
            key.last_write = key.writes[op.value] = self._open_writes[op.op] = write

    def _shape_with(self, key: Key, op: Op) -> Shape:
        """The key's shape after the write `op`."""
        if op.f not in ("put", "append") or not isinstance(op.value, str) or op.value in key.writes:
            return "mixed"
        shape: Shape = "register" if op.f == "put" else "list"
        last = key.last_write
        if last is None:
            return shape if key.shape == "unwritten" else "mixed"
        # Two puts of one client that overlap have no known order.
        ordered = shape == "list" or (last.invoke.client == op.client and last.outcome != "open")
        return shape if shape == key.shape and ordered else "mixed"
