"""stale_reads: a read of a node's own state shows a state that was, and never one before what the same node showed.

A stale read may be as old as its node is behind, so linearizability does not hold for it, and its history is kept
apart. But its answer says which incarnation gave it, and the index of the last entry that this incarnation had applied.
The state at an index is the same on every node (State Machine Safety, §5.4.3), so much is owed:

1. *Never a value that never was.* Whatever it shows, some client had begun to write to this key by the end of the read,
   and the write did not fail.
2. *The state at its index.* An acknowledged write names its entry. So of all acknowledged writes to the key, those at
   the read's index or before are in what it shows, in the order of their entries, and those after it are not:
     - a key that is written by put, cas and delete shows the last one of these writes;
     - a list, which is only appended to, holds all of them, each once.
   A write of unknown outcome may be any entry, or none: a key may show such a write in place of the last one, and a
   list may hold it in any place. A key that is written in both ways is judged by rules 1, 3 and 4 alone.
3. *One state at one index.* Two reads of one key at one index show the same, whoever answers.
4. *Never back.* The index of an incarnation's answers never decreases: if one read ended before the other began, the
   later one has at least its index. Reads that overlap may have been answered in either order.

Why no correct node is convicted: a node applies each committed entry once, in order, and answers at a moment between
two entries, with the index of the one before. A write that was acknowledged at index i is the entry at i, or its client
repeated it, and the answer names the first one. So rules 2 to 4 hold for the state itself. Rule 1 holds since an entry
is applied only after its client began to send it. A `fail` certainly has no effect.

Why it is strong enough: rule 4 alone would accept any value at a good index, and rule 1 any old value. With rule 2 the
value must be that of the index which the node itself claims, up to writes of unknown outcome; so a node that lies about
the value, or about the index, is convicted as soon as one acknowledged write lies between. How many reads were judged
is the verdict's number; runs without stale reads have no verdict.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field

from raft_chaos.invariants.checkers.base import Checker
from raft_chaos.invariants.history import Op, Value
from raft_chaos.invariants.verdict import Verdict


@dataclass(slots=True)
class _Write:
    """A write, with its place in the history, and its answer if it ended."""

    invoke: Op
    place: int
    answer: Op | None = None

    @property
    def index(self) -> int | None:
        """The entry that certainly holds it; None for a write of unknown outcome."""
        return self.answer.index if self.answer is not None and self.answer.type == "ok" else None

    @property
    def failed(self) -> bool:
        return self.answer is not None and self.answer.type == "fail"


@dataclass(slots=True)
class _Read:
    """A stale read that was answered, with the places in the history of its two lines."""

    invoke: Op
    answer: Op
    begun: int
    ended: int

    @property
    def index(self) -> int:
        assert self.answer.index is not None
        return self.answer.index


@dataclass(slots=True)
class _Key:
    """The writes to a key in the order in which they began; by value, but for deletes; and its stale reads."""

    writes: list[_Write] = field(default_factory=list)
    of_value: dict[str, _Write] = field(default_factory=dict)
    reads: list[_Read] = field(default_factory=list)

    @property
    def is_list(self) -> bool:
        return all(write.invoke.f == "append" for write in self.writes)

    @property
    def is_register(self) -> bool:
        return all(write.invoke.f != "append" for write in self.writes)

    @property
    def has_unique_values(self) -> bool:
        return len(self.of_value) == sum(write.invoke.f != "delete" for write in self.writes)


class StaleReads(Checker):
    """Observes all operations, and judges the stale reads among them. `verdict` judges the whole history again if it
    has grown since the last call: an outcome that comes late changes what a read may show."""

    invariant = "stale_reads"
    rule = "A stale read shows the state at an index that its node had applied, and a node never goes back (§5.4.3)."
    never_written = "A stale read shows only what some client wrote to the key (§8)."
    never_back = "What a node has applied stays applied: its answers never go back (Figure 2: lastApplied increases)."
    one_state = "The state at one index is the same on all nodes (State Machine Safety, §5.4.3)."
    nothing_judged = "no stale read was answered"

    def __init__(self) -> None:
        super().__init__()
        self._keys: dict[str, _Key] = {}
        self._open_writes: dict[str, _Write] = {}
        self._open_reads: dict[str, tuple[Op, int]] = {}
        self._reads: list[_Read] = []
        self._places = 0
        self._last_verdict: Verdict | None = None

    @property
    def applies(self) -> bool:
        return bool(self._reads)

    def observe_op(self, op: Op) -> None:
        """One operation, in the order in which the clients saw them."""
        self._places += 1
        self._last_verdict = None
        if op.f == "get":
            if op.consistency == "stale":
                self._observe_read(op)
        elif op.type == "invoke":
            key = self._keys.setdefault(op.key, _Key())
            write = self._open_writes[op.op] = _Write(op, self._places)
            key.writes.append(write)
            if isinstance(op.value, str):
                key.of_value.setdefault(op.value, write)
        elif op.op in self._open_writes:
            self._open_writes.pop(op.op).answer = op

    def _observe_read(self, op: Op) -> None:
        if op.type == "invoke":
            self._open_reads[op.op] = (op, self._places)
        elif (begun := self._open_reads.pop(op.op, None)) is not None and op.type == "ok" and op.index is not None:
            read = _Read(begun[0], op, begun[1], self._places)
            self._reads.append(read)
            self._keys.setdefault(op.key, _Key()).reads.append(read)

    def verdict(self) -> Verdict:
        if self._last_verdict is None:
            self.judged, self.violations, self.violation_count = len(self._reads), [], 0
            self._judge_order()
            for name, key in self._keys.items():
                if key.reads:
                    self._judge_key(name, key)
            self._last_verdict = super().verdict()
        return self._last_verdict

    # ---- never back -------------------------------------------------------------------------------------------------

    def _judge_order(self) -> None:
        """Compares each read with the highest index that its incarnation had shown when it began."""
        ends: dict[tuple[str | None, int | None], list[int]] = {}
        highest: dict[tuple[str | None, int | None], list[_Read]] = {}
        for read in self._reads:  # in the order of their ends
            who = (read.answer.node, read.answer.inc)
            ended, shown = ends.setdefault(who, []), highest.setdefault(who, [])
            before = bisect_left(ended, read.begun)
            if before and shown[before - 1].index > read.index:
                earlier = shown[before - 1]
                self.violate(
                    f"{who[0]} (incarnation {who[1]}) answered {read.answer.op} as of index {read.index}, after it had "
                    f"answered {earlier.answer.op} as of index {earlier.index}",
                    earlier.answer,
                    read.invoke,
                    read.answer,
                    rule=self.never_back,
                )
            ended.append(read.ended)
            shown.append(read if not shown or read.index >= shown[-1].index else shown[-1])

    # ---- one key ----------------------------------------------------------------------------------------------------

    def _judge_key(self, name: str, key: _Key) -> None:
        acked = sorted((write for write in key.writes if write.index is not None), key=_index)
        indexes = [_index(write) for write in acked]
        first_at: dict[int, _Read] = {}
        for read in key.reads:
            first = first_at.setdefault(read.index, read)
            if first.answer.value != read.answer.value:
                self.violate(
                    f"{first.answer.op} and {read.answer.op} read {first.answer.value!r} and {read.answer.value!r} "
                    f"from {name!r}, both as of index {read.index}",
                    first.answer,
                    read.answer,
                    rule=self.one_state,
                )
            shown = self._shown(name, key, read)
            if shown is None or not key.has_unique_values:
                continue
            owed = acked[: bisect_right(indexes, read.index)]
            if key.is_list:
                self._judge_list(name, read, shown, owed)
            elif key.is_register:
                self._judge_register(name, key, read, shown, owed)

    def _shown(self, name: str, key: _Key, read: _Read) -> list[_Write] | None:
        """The writes that the read shows; None, and a violation, if one of them never was."""
        shown: list[_Write] = []
        for value in _values(read.answer.value):
            write = key.of_value.get(value)
            if write is None or write.failed or write.place > read.ended:
                why = "nobody wrote" if write is None else "failed" if write.failed else "was not written by then"
                what = f"{read.answer.op} read {value!r} from {name!r}, which {why}"
                witness = [] if write is None else [write.invoke, *([write.answer] if write.answer is not None else [])]
                self.violate(what, *witness, read.invoke, read.answer, rule=self.never_written)
                return None
            shown.append(write)
        return shown

    def _judge_register(self, name: str, key: _Key, read: _Read, shown: list[_Write], owed: list[_Write]) -> None:
        last = owed[-1] if owed else None
        if shown:
            index = shown[0].index
            if index is None or (last is shown[0]):
                return
            if index > read.index:
                self._misses(name, read, shown[0], f"which is entry {index}", shown[0])
            else:
                assert last is not None, "the write that it shows is one of those that it owes"
                self._misses(name, read, last, f"without entry {last.index}", shown[0])
        elif last is not None and last.invoke.f != "delete" and not _may_be_deleted(key, read):
            self._misses(name, read, last, f"without entry {last.index}")

    def _judge_list(self, name: str, read: _Read, shown: list[_Write], owed: list[_Write]) -> None:
        known = [write for write in shown if write.index is not None]
        early = next((write for write in known if _index(write) > read.index), None)
        if early is not None:
            self._misses(name, read, early, f"with entry {early.index}")
            return
        there = {write.place for write in shown}  # used only for membership tests and size
        missing = next((write for write in owed if write.place not in there), None)
        if missing is not None:
            self._misses(name, read, missing, f"without entry {missing.index}")
        elif len(there) < len(shown):
            twice = next(write for place, write in enumerate(shown) if write in shown[:place])
            self._misses(name, read, twice, f"with {twice.invoke.value!r} twice")
        elif [_index(write) for write in known] != sorted(map(_index, known)):
            self._misses(name, read, known[0], "in another order than that of the entries")

    def _misses(self, name: str, read: _Read, write: _Write, how: str, other: _Write | None = None) -> None:
        also = [] if other is None or other is write else [other.invoke, other.answer]
        self.violate(
            f"{read.answer.op} read {read.answer.value!r} from {name!r} at {read.answer.node} as of index "
            f"{read.index}, {how}",
            *also,
            write.invoke,
            write.answer,
            read.invoke,
            read.answer,
        )


def _index(write: _Write) -> int:
    index = write.index
    assert index is not None
    return index


def _values(value: Value) -> list[str]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _may_be_deleted(key: _Key, read: _Read) -> bool:
    """Whether a delete of unknown outcome, begun before the read ended, may have removed what was written."""
    return any(
        write.invoke.f == "delete" and write.index is None and not write.failed and write.place < read.ended
        for write in key.writes
    )
