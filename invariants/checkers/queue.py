"""total_queue: what goes into a queue comes out of it (Jepsen's checker of the same name).

Every element whose enqueue was acknowledged comes out, and nothing comes out that nobody put in. Where the target
promises it, each element comes out once at most. The order in which they come out is not judged.

An enqueue of unknown outcome may come out or not. A dequeue of unknown outcome may have taken one element, from its
invocation on and as late as it likes. So elements are lost only if more of them are missing than there are such
dequeues, and none is lost before the queue was seen empty at the end of the run: until then it may still be inside.

In a workload each element is enqueued once. If a history enqueues one several times, its enqueues and its appearances
are only counted against each other, which may overlook that one is lost.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice

from raft_chaos.invariants.checkers.base import Checker
from raft_chaos.invariants.history import Op
from raft_chaos.invariants.verdict import Verdict, Violation

WITNESSES = 3
"""How many lost elements a witness has. All are counted."""


@dataclass(slots=True)
class _Element:
    """One value: its enqueues (`possible` counts those that did not fail), and the dequeues that returned it."""

    invoked: list[Op] = field(default_factory=list)
    answers: list[Op] = field(default_factory=list)
    came_out: list[Op] = field(default_factory=list)
    possible: int = 0

    @property
    def missing(self) -> int:
        """How often it was acknowledged and did not come out."""
        return max(0, len(self.answers) - len(self.came_out))


@dataclass(slots=True)
class _Queue:
    """One queue. `unknown` are the dequeues of unknown outcome; `last` is the last final dequeue that ended."""

    name: str
    elements: dict[str, _Element] = field(default_factory=dict)
    unknown: int = 0
    open_dequeues: dict[str, Op] = field(default_factory=dict)
    last: Op | None = None

    @property
    def is_drained(self) -> bool:
        return self.last is not None and self.last.type == "ok" and self.last.value is None

    @property
    def excused(self) -> int:
        """How many elements may have been taken by a dequeue of unknown outcome; an open one is such a dequeue."""
        return self.unknown + len(self.open_dequeues)

    def lost(self) -> Iterator[_Element]:
        """The acknowledged elements that did not come out, in the order of their first enqueue."""
        return (element for element in self.elements.values() if element.missing)


class TotalQueue(Checker):
    """With `exactly_once` an element that comes out twice is a violation, else it is only counted."""

    invariant = "total_queue"
    rule = "Every acknowledged element comes out of the queue (total queue)."
    never_enqueued = "Only what some client put into the queue comes out (total queue)."
    once = "Each element comes out once at most, which the target promises (exactly once)."
    nothing_judged = "no element was acknowledged and came out"

    def __init__(self, *, exactly_once: bool) -> None:
        super().__init__()
        self._exactly_once = exactly_once
        self._queues: dict[str, _Queue] = {}
        self._open_enqueues: dict[str, Op] = {}
        self._twice = 0

    def observe_op(self, op: Op) -> None:
        """One operation, in the order in which the clients saw them. Ignores an answer to nothing that is open."""
        queue = self._queues.get(op.key)
        if queue is None:
            queue = self._queues[op.key] = _Queue(op.key)
        if op.f == "enqueue":
            self._on_enqueue(queue, op)
        elif op.type == "invoke":
            queue.open_dequeues[op.op] = op
        elif (invoke := queue.open_dequeues.pop(op.op, None)) is not None:
            self._on_dequeued(queue, invoke, op)

    # ---- enqueues ----

    def _on_enqueue(self, queue: _Queue, op: Op) -> None:
        if op.type == "invoke":
            assert isinstance(op.value, str)
            element = queue.elements.setdefault(op.value, _Element())
            element.invoked.append(op)
            element.possible += 1
            self._open_enqueues[op.op] = op
            return
        invoke = self._open_enqueues.pop(op.op, None)
        if invoke is None:
            return
        assert isinstance(invoke.value, str)
        element = queue.elements[invoke.value]
        if op.type == "ok":
            element.answers.append(op)
            self.judged += len(element.answers) <= len(element.came_out)
        elif op.type == "fail":
            element.possible -= 1
            self._on_failed(queue, invoke, op, element)

    def _on_failed(self, queue: _Queue, invoke: Op, answer: Op, element: _Element) -> None:
        """An enqueue certainly had no effect: what came out meanwhile cannot be its element."""
        if not element.came_out:
            return
        if not element.possible:
            self._invented(queue, element.came_out[0], (invoke, answer))
        elif len(element.came_out) > element.possible:
            self._came_out_twice(queue, element)

    # ---- dequeues ----

    def _on_dequeued(self, queue: _Queue, invoke: Op, answer: Op) -> None:
        if answer.final:
            queue.last = answer
        if answer.type == "info":
            queue.unknown += 1
        if answer.type != "ok" or answer.value is None:
            return
        element = queue.elements.get(answer.value) if isinstance(answer.value, str) else None
        if element is None:
            self._invented(queue, answer, (invoke,))
            return
        element.came_out.append(answer)
        self.judged += len(element.came_out) <= len(element.answers)
        if not element.possible:
            self._invented(queue, answer, element.invoked)
        elif len(element.came_out) > element.possible:
            self._came_out_twice(queue, element)

    def _invented(self, queue: _Queue, answer: Op, before: Sequence[Op]) -> None:
        failed = f"the enqueue of which had no effect according to its answer ({before[0].op})"
        self.violate(
            f"{answer.op} took {answer.value!r} out of {queue.name!r}, "
            f"{failed if before[0].f == 'enqueue' else 'which nobody put in'}",
            *before,
            answer,
            rule=self.never_enqueued,
        )

    def _came_out_twice(self, queue: _Queue, element: _Element) -> None:
        self._twice += 1
        if self._exactly_once:
            first, last = element.came_out[0], element.came_out[-1]
            self.violate(
                f"{first.op} and {last.op} both took {first.value!r} out of {queue.name!r}",
                element.invoked[0],
                first,
                last,
                rule=self.once,
            )

    # ---- the end ----

    def verdict(self) -> Verdict:
        """Judges also what did not come out, as far as the queues were drained by now."""
        queues = self._queues.values()
        lost = [(queue, element) for queue in queues if self._lost(queue) for element in queue.lost()]
        if self.violation_count or lost:
            return self._violated([queue for queue in queues if self._lost(queue)])
        undrained = [queue for queue in queues if not queue.is_drained]
        if undrained:
            return self.conclude("unknown", "; ".join(filter(None, (_undrained(undrained[0]), self.note()))))
        return super().verdict()

    @staticmethod
    def _lost(queue: _Queue) -> int:
        """How many elements are certainly lost."""
        if not queue.is_drained:
            return 0
        return max(0, sum(element.missing for element in queue.lost()) - queue.excused)

    def _violated(self, queues: Sequence[_Queue]) -> Verdict:
        found = [self._loss(queue) for queue in queues]
        count = self.violation_count + sum(self._lost(queue) for queue in queues)
        shown = (*self.violations, *found)
        return Verdict(self.invariant, "violated", self.judged, self.note(), shown, count)

    def _loss(self, queue: _Queue) -> Violation:
        """The first elements that did not come out, with their enqueues, and the dequeue that found the queue empty."""
        missing = list(queue.lost())
        values = ", ".join(repr(element.invoked[0].value) for element in missing[:WITNESSES])
        more = f" and {len(missing) - WITNESSES} more" if len(missing) > WITNESSES else ""
        acknowledged = sum(len(element.answers) for element in queue.elements.values())
        message = (
            f"{sum(element.missing for element in missing)} of {acknowledged} acknowledged elements never came out of "
            f"{queue.name!r}: {values}{more}"
        )
        if queue.excused:
            message += f"; {queue.excused} dequeues of unknown outcome may have taken as many of them, and no more"
        witness = [op for element in islice(missing, WITNESSES) for op in (*element.invoked, *element.answers)]
        assert queue.last is not None
        return Violation(self.invariant, message, self.rule, (*witness, queue.last))

    def note(self) -> str:
        missing = sum(element.missing for queue in self._queues.values() for element in queue.lost())
        excused = sum(queue.excused for queue in self._queues.values())
        parts = []
        if self._twice and not self._exactly_once:
            parts.append(f"elements came out again {self._twice} times, which the target does not rule out")
        if missing and not self.violation_count:
            parts.append(
                f"{missing} acknowledged elements did not come out, and {excused} dequeues of unknown outcome may have "
                "taken as many"
            )
        return "; ".join(parts)


def _undrained(queue: _Queue) -> str:
    """Why nothing can be said of the elements that did not come out."""
    if queue.last is None:
        return f"{queue.name!r} was not drained at the end, so what did not come out may still be inside"
    ended = repr(queue.last.value) if queue.last.type == "ok" else f"{queue.last.type} ({queue.last.error})"
    return f"{queue.name!r} was not seen empty at the end: its last dequeue, {queue.last.op}, ended as {ended}"
