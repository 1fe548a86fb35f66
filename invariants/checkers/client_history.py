"""What clients may rely on: acknowledged writes stay, and reads do not go back in time.

Both follow from linearizability (§8) and need no search. They apply to the keys that `client_keys` calls registers and
lists. The checkers report a violation only where it is certain. `client_keys` lists what each outcome of a write makes
certain; above all, a write of unknown outcome may take effect late, over values that were written after it.
"""

from __future__ import annotations

from collections.abc import Sequence

from raft_chaos.invariants.checkers.base import Checker, Handlers, who
from raft_chaos.invariants.checkers.client_keys import ClientKeys, Read, Write
from raft_chaos.invariants.events import EntryApplied
from raft_chaos.invariants.history import Op
from raft_chaos.invariants.verdict import Verdict


class HistoryChecker(Checker):
    """A checker of client operations. It observes each operation, and the write or judgeable read that it ends."""

    nothing_judged = "no client operation could be judged"

    def __init__(self, keys: ClientKeys) -> None:
        super().__init__()
        self._keys = keys

    def observe_op(self, op: Op, ended: Read | Write | None) -> None:
        """One operation, in the order in which the clients saw them."""
        raise NotImplementedError

    def note(self) -> str:
        mixed = self._keys.mixed()
        return (
            f"not judged here: {mixed} keys with cas, delete or several writers, which are left to linearizability"
            if mixed
            else ""
        )


class AcknowledgedWrites(HistoryChecker):
    """An acknowledged write is in the log at its index and in every later read. Reads return only what was written.

    A read of a register after the k-th put was acknowledged returns that value or a later one, or an earlier one whose
    put has an unknown outcome (it may have taken effect late). A read of a list holds every token that was acknowledged
    before, and each token once.
    """

    invariant = "acknowledged_writes"
    rule = "An acknowledged write was committed and applied, so every later read shows it (§5.3, §8)."
    at_its_index = "An acknowledged write is the entry at its index, and no other is ever applied there (§5.4.3, §8)."
    never_written = "A read returns only what some client wrote (linearizability, §8)."
    once = "Each command is applied exactly once, however often it is sent (§8)."

    def __init__(self, keys: ClientKeys) -> None:
        super().__init__(keys)
        self._acked_at: dict[int, Op] = {}
        self._applied_at: dict[int, EntryApplied] = {}
        self._other_applied: list[EntryApplied] = []

    def verdict(self) -> Verdict:
        """Unknown if nodes report applied entries, but none reports to have applied an acknowledged one."""
        unseen = sorted(index for index in self._acked_at if index not in self._applied_at)
        if unseen and self._applied_at and not self.violation_count:
            ack = self._acked_at[unseen[0]]
            return self.conclude("unknown", f"no node reports to have applied entry {unseen[0]}, the write of {ack.op}")
        return super().verdict()

    # ---- against the nodes' events ----

    def handlers(self) -> Handlers:
        return {EntryApplied: self._on_applied}

    def _on_applied(self, event: EntryApplied) -> None:
        first = self._applied_at.setdefault(event.index, event)
        if first is not event:
            if first.term == event.term:
                return
            # State Machine Safety reports this. Both are kept, since an answer may still come for either.
            self._other_applied.append(event)
        ack = self._acked_at.get(event.index)
        if ack is not None:
            self._compare(ack, event)

    def _on_acked_at(self, ack: Op, index: int) -> None:
        first = self._acked_at.setdefault(index, ack)
        if first is not ack:
            self.violate(
                f"{first.op} and {ack.op} were both acknowledged at index {index}, "
                f"in terms {first.term} and {ack.term}",
                first,
                ack,
                rule=self.at_its_index,
            )
        applied = self._applied_at.get(index)
        if applied is not None:
            self._compare(ack, applied)
            for event in self._other_applied:
                if event.index == index:
                    self._compare(ack, event)

    def _compare(self, ack: Op, applied: EntryApplied) -> None:
        self.judged += 1
        if ack.term != applied.term:
            self.violate(
                f"{ack.op} was acknowledged at index {applied.index} in term {ack.term}, "
                f"but {who(applied)} applied an entry of term {applied.term} there",
                ack,
                applied,
                rule=self.at_its_index,
            )

    # ---- against the reads ----

    def observe_op(self, op: Op, ended: Read | Write | None) -> None:
        if op.type == "ok" and op.f != "get" and op.index is not None and op.term is not None:
            self._on_acked_at(op, op.index)
        if type(ended) is Read:
            self._on_read(ended)
        elif type(ended) is Write and ended.outcome == "fail" and ended.read_by is not None:
            self._failed_write_read(ended, ended.read_by)

    def _on_read(self, read: Read) -> None:
        value = read.answer.value
        if value is None and not read.acked_before:
            return  # the read was owed nothing and returned nothing
        self.judged += 1
        if read.key.shape == "register":
            self._judge_register(read)
        else:
            self._judge_list(read)

    def _judge_register(self, read: Read) -> None:
        value = read.answer.value
        owed = read.key.acked[read.acked_before - 1] if read.acked_before else None
        if value is not None and not self._was_written(read, value):
            return
        write = read.key.writes[value] if isinstance(value, str) else None
        if owed is None or (write is not None and (write.position >= owed.position or write.outcome != "ok")):
            return
        self.violate(
            f"{read.answer.op} read {value!r} from {read.key.name!r} after {owed.invoke.value!r} had been acknowledged",
            *([write.invoke] if write is not None else []),
            owed.invoke,
            owed.answer,
            read.invoke,
            read.answer,
        )

    def _judge_list(self, read: Read) -> None:
        value = read.answer.value
        tokens = value if isinstance(value, list) else [] if value is None else [value]
        written = [self._was_written(read, token) for token in tokens]
        if not all(written):
            return
        held = set(tokens)  # asked for membership and size only, never iterated
        if len(held) < len(tokens):
            twice = next(token for position, token in enumerate(tokens) if token in tokens[:position])
            self.violate(
                f"{read.answer.op} read {twice!r} more than once from {read.key.name!r}: it was applied twice",
                read.key.writes[twice].invoke,
                read.answer,
                rule=self.once,
            )
        for write in read.key.acked[: read.acked_before]:
            if write.invoke.value not in held:
                self.violate(
                    f"{read.answer.op} read {read.key.name!r} without {write.invoke.value!r}, "
                    "which had been acknowledged before",
                    write.invoke,
                    write.answer,
                    read.invoke,
                    read.answer,
                )
                return

    def _was_written(self, read: Read, value: str | Sequence[str]) -> bool:
        """Whether a write of `value` that did not fail was invoked by now. If not, counts a violation."""
        write = read.key.writes.get(value) if isinstance(value, str) else None
        if write is None:
            self.violate(
                f"{read.answer.op} read {value!r} from {read.key.name!r}, which nobody wrote",
                read.invoke,
                read.answer,
                rule=self.never_written,
            )
            return False
        write.read_by = write.read_by or read.answer
        if write.outcome == "fail":
            self._failed_write_read(write, read.answer)
            return False
        return True

    def _failed_write_read(self, write: Write, answer: Op) -> None:
        self.violate(
            f"{answer.op} read {write.invoke.value!r} from {write.invoke.key!r}, the write of which had no effect "
            f"according to its answer ({write.invoke.op})",
            write.invoke,
            write.answer,
            answer,
            rule=self.never_written,
        )


class MonotonicReads(HistoryChecker):
    """If one read of a key ended before another was invoked, the second read shows no older state.

    Registers: after a read returned the value of put j, a later read must not return the value of a put i < j that was
    acknowledged, nor an absent key. Put i took effect before its answer, put j was invoked after that answer, and the
    read of j's value proves that j took effect too, so nothing can bring i's value back. This holds whatever other
    writes have an unknown outcome. If the outcome of put i itself is unknown, it may have taken effect late, over j's
    value, so a read of its value proves nothing. The outcome of put j does not matter, since its value was read.

    Lists only grow at their end, whether or not outcomes are unknown: of any two states one is a prefix of the other,
    and the later read shows the longer one.
    """

    invariant = "monotonic_reads"
    rule = "Reads are linearizable: once a read returned a state, later reads return that or a newer one (§8)."
    one_list = "All reads of an append-only list see prefixes of one list (§5.3, §8)."
    nothing_judged = "no two reads of a key could be compared"

    def __init__(self, keys: ClientKeys) -> None:
        super().__init__(keys)
        # By key: element i is the newest state shown by its first i reads (a put, or the read of the longest list).
        self._newest_put: dict[str, list[tuple[Write, Op] | None]] = {}
        self._longest: dict[str, list[Op | None]] = {}

    def observe_op(self, op: Op, ended: Read | Write | None) -> None:
        if type(ended) is not Read:
            return
        # Both run from a key's first read on: a key may be read before its first write determines its shape.
        self._judge_register(ended)
        self._judge_list(ended)

    def _judge_register(self, read: Read) -> None:
        newest = self._newest_put.setdefault(read.key.name, [None])
        value = read.answer.value
        write = read.key.writes.get(value) if isinstance(value, str) and read.key.shape == "register" else None
        before = newest[read.reads_before]
        if before is not None:
            self.judged += 1
            self._compare_puts(read, write, *before)
        latest = newest[-1]
        if write is not None and write.outcome != "fail" and (latest is None or write.position > latest[0].position):
            latest = (write, read.answer)
        newest.append(latest)

    def _compare_puts(self, read: Read, write: Write | None, newer: Write, earlier: Op) -> None:
        value = read.answer.value
        absent = value is None
        overwritten = write is not None and write.outcome == "ok" and write.position < newer.position
        if absent or overwritten:
            self.violate(
                f"{read.answer.op} read {value!r} from {read.key.name!r} after {earlier.op} had read "
                f"{earlier.value!r}, which was written later",
                *([write.invoke] if write is not None else []),
                newer.invoke,
                earlier,
                read.invoke,
                read.answer,
            )

    def _judge_list(self, read: Read) -> None:
        longest = self._longest.setdefault(read.key.name, [None])
        latest = longest[-1]
        tokens = _tokens(read.answer)
        if tokens is None or read.key.shape != "list":
            longest.append(latest)
            return
        before = longest[read.reads_before]
        if latest is not None:
            self.judged += 1
            self._compare_lists(read, tokens, before, latest)
        longest.append(read.answer if latest is None or len(tokens) > len(_tokens(latest) or []) else latest)

    def _compare_lists(self, read: Read, tokens: list[str], before: Op | None, latest: Op) -> None:
        known = _tokens(latest) or []
        common = min(len(tokens), len(known))
        if tokens[:common] != known[:common]:
            self.violate(
                f"{latest.op} and {read.answer.op} read two lists from {read.key.name!r} of which neither continues "
                "the other",
                latest,
                read.answer,
                rule=self.one_list,
            )
        elif before is not None and len(tokens) < len(_tokens(before) or []):
            self.violate(
                f"{read.answer.op} read {len(tokens)} tokens from {read.key.name!r} after {before.op} had read "
                f"{len(_tokens(before) or [])}",
                before,
                read.invoke,
                read.answer,
            )


def _tokens(answer: Op) -> list[str] | None:
    """The list that a read returned, empty for an absent key; None if it returned something else."""
    if answer.value is None:
        return []
    return answer.value if isinstance(answer.value, list) else None
