"""total_queue: what went in comes out, and nothing else; agreement with a brute force over all explanations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from event_scripts import History
from raft_chaos.invariants.checkers.queue import TotalQueue
from raft_chaos.invariants.history import Op, OpType, QueueFunction, Value
from raft_chaos.invariants.judge import Judge
from raft_chaos.invariants.verdict import Verdict

Script = Callable[[History], None]


def enqueue(h: History, value: str, client: str = "c0") -> None:
    h.ok(h.invoke(client, "enqueue", "queue", value))


def dequeue(h: History, value: Value, client: str = "c1") -> None:
    h.ok(h.invoke(client, "dequeue", "queue"), value)


def drained(type: OpType, value: Value = None) -> Op:
    """A line of the last dequeue of the drain."""
    return Op(
        type=type, process=9, client="final", op="drain/0", f="dequeue", key="queue", t_us=99, value=value, final=True
    )


def verdict(script: Script, *, exactly_once: bool = False, end: Sequence[Op] | None = None) -> Verdict:
    """The verdict on a script; at its end the queue is seen empty."""
    history = History()
    script(history)
    checker = TotalQueue(exactly_once=exactly_once)
    for op in [*history.ops, *([drained("invoke"), drained("ok")] if end is None else end)]:
        checker.observe_op(op)
    before = checker.verdict()
    assert checker.verdict() == before, "a verdict changes nothing"
    return before


def test_what_went_in_comes_out_in_any_order() -> None:
    def script(h: History) -> None:
        enqueue(h, "a")
        enqueue(h, "b")
        dequeue(h, "b")
        dequeue(h, "a")
        dequeue(h, None)

    found = verdict(script)
    assert (found.outcome, found.judged, found.reason) == ("valid", 2, "")


def test_a_lost_element_is_named_with_its_operations() -> None:
    def script(h: History) -> None:
        enqueue(h, "a")
        enqueue(h, "b")
        dequeue(h, "b")

    found = verdict(script)
    assert (found.outcome, found.violation_count) == ("violated", 1)
    assert found.violations[0].message == "1 of 2 acknowledged elements never came out of 'queue': 'a'"
    assert [(op.op, op.type) for op in found.violations[0].witness] == [
        ("c0/0", "invoke"),
        ("c0/0", "ok"),
        ("drain/0", "ok"),
    ]


def test_nothing_is_lost_before_the_queue_was_seen_empty() -> None:
    def script(h: History) -> None:
        enqueue(h, "a")
        enqueue(h, "b")
        dequeue(h, "b")

    found = verdict(script, end=[])
    assert found.outcome == "unknown" and "not drained" in found.reason


@pytest.mark.parametrize(("answer", "said"), [("ok", "ended as 'x'"), ("fail", "ended as fail"), ("info", "as info")])
def test_a_drain_that_did_not_end_empty_is_unknown(answer: OpType, said: str) -> None:
    def script(h: History) -> None:
        enqueue(h, "x")
        enqueue(h, "y")

    found = verdict(script, end=[drained("invoke"), drained(answer, "x" if answer == "ok" else None)])
    assert found.outcome == "unknown" and said in found.reason


@pytest.mark.parametrize("ending", ["info", "open"])
def test_a_dequeue_of_unknown_outcome_excuses_one_element(ending: str) -> None:
    def script(h: History, lost: int) -> None:
        for number in range(lost):
            enqueue(h, f"lost{number}")
        enqueue(h, "b")
        dequeue(h, "b")
        unknown = h.invoke("c2", "dequeue", "queue")
        if ending == "info":
            h.info(unknown)

    excused = verdict(lambda h: script(h, 1))
    assert excused.outcome == "valid"
    assert excused.reason.startswith("1 acknowledged elements did not come out, and 1 dequeues of unknown outcome")
    lost = verdict(lambda h: script(h, 2))
    assert (lost.outcome, lost.violation_count) == ("violated", 1)
    assert "1 dequeues of unknown outcome may have taken as many of them, and no more" in lost.violations[0].message


def test_a_failed_dequeue_excuses_nothing() -> None:
    def script(h: History) -> None:
        enqueue(h, "a")
        enqueue(h, "b")
        h.fail(h.invoke("c2", "dequeue", "queue"))
        dequeue(h, "b")

    assert verdict(script).outcome == "violated"


@pytest.mark.parametrize("comes_out", [True, False])
def test_an_enqueue_of_unknown_outcome_may_come_out_or_not(comes_out: bool) -> None:
    def script(h: History) -> None:
        enqueue(h, "a")
        h.info(h.invoke("c0", "enqueue", "queue", "b"))
        dequeue(h, "a")
        if comes_out:
            dequeue(h, "b")

    assert verdict(script, exactly_once=True).outcome == "valid"


@pytest.mark.parametrize("value", ["never", ["a"]])
def test_what_nobody_put_in_is_invented(value: Value) -> None:
    def script(h: History) -> None:
        enqueue(h, "a")
        dequeue(h, "a")
        dequeue(h, value)

    found = verdict(script)
    assert found.outcome == "violated" and "which nobody put in" in found.violations[0].message


@pytest.mark.parametrize("early", [True, False])
def test_an_element_whose_enqueue_failed_is_invented(early: bool) -> None:
    def script(h: History) -> None:
        failing = h.invoke("c0", "enqueue", "queue", "a")
        if early:
            dequeue(h, "a")
        h.fail(failing)
        if not early:
            dequeue(h, "a")

    found = verdict(script)
    assert (found.outcome, found.violation_count) == ("violated", 1)
    assert "had no effect according to its answer (c0/0)" in found.violations[0].message


def test_an_element_out_of_another_queue_is_invented() -> None:
    def script(h: History) -> None:
        enqueue(h, "a")
        dequeue(h, "a")
        h.ok(h.invoke("c1", "dequeue", "other"), "a")

    assert verdict(script).outcome == "violated"


def test_twice_is_counted_and_convicts_only_where_once_is_promised() -> None:
    def script(h: History) -> None:
        enqueue(h, "a")
        dequeue(h, "a")
        dequeue(h, "a", "c2")

    counted = verdict(script)
    assert counted.outcome == "valid" and "came out again 1 times" in counted.reason
    convicted = verdict(script, exactly_once=True)
    assert convicted.violations[0].message == "c1/0 and c2/0 both took 'a' out of 'queue'"
    assert [op.op for op in convicted.violations[0].witness] == ["c0/0", "c1/0", "c2/0"]


def test_without_an_element_nothing_is_judged() -> None:
    assert verdict(lambda h: dequeue(h, None)).outcome == "unknown"
    assert verdict(lambda h: h.info(h.invoke("c0", "enqueue", "queue", "a"))).outcome == "unknown"


# ---- the judge ----


def test_a_queue_has_no_keys_to_be_linearizable() -> None:
    h = History()
    enqueue(h, "a")
    dequeue(h, "a")
    judge = Judge(events_expected=False, can=("enqueue", "dequeue"))
    for op in h.ops:
        judge.observe_op(op)
    assert [verdict.invariant for verdict in judge.verdicts()] == ["total_queue", "unexpected_exit"]


def test_keys_and_queues_of_one_system_are_judged_apart() -> None:
    h = History()
    enqueue(h, "a")
    h.put("c0", "a")
    h.read("c1", "a")
    dequeue(h, "never")
    judge = Judge(events_expected=False, can=("enqueue", "dequeue", "get", "put"))
    for op in h.ops:
        judge.observe_op(op)
    assert [found.invariant for found in judge.new_violations()] == ["total_queue"]
    found = {verdict.invariant: verdict.outcome for verdict in judge.verdicts()}
    assert found["linearizability"] == "valid" and found["total_queue"] == "violated"


def test_a_checker_that_fails_is_unknown() -> None:
    judge = Judge(events_expected=False, can=("enqueue", "dequeue"))
    for type_ in ("invoke", "ok"):
        judge.observe_op(Op(type=type_, process=0, client="c0", op="c0/0", f="enqueue", key="queue", t_us=0))
    found = {verdict.invariant: verdict for verdict in judge.verdicts()}["total_queue"]
    assert found.outcome == "unknown" and "the checker itself failed" in found.reason


# ---- brute force ----

VALUES = "abc"


@dataclass(frozen=True)
class Step:
    """One operation, which begins and ends (or stays open) before the next one: `value` is None for an empty queue."""

    f: QueueFunction
    value: str | None
    end: str


ENDS = st.sampled_from(["ok", "ok", "ok", "fail", "info", "open"])
ENQUEUES = st.builds(Step, f=st.just("enqueue"), value=st.sampled_from(VALUES), end=ENDS)
DEQUEUES = st.builds(Step, f=st.just("dequeue"), value=st.sampled_from([*VALUES, None]), end=ENDS)
REPEATED = st.lists(ENQUEUES | DEQUEUES, max_size=7)
"""Histories in which a value may be enqueued several times."""


def once(history: list[Step]) -> list[Step]:
    """The history without the later enqueues of each value."""
    first = {step.value: number for number, step in reversed([*enumerate(history)]) if step.f == "enqueue"}
    return [step for number, step in enumerate(history) if step.f == "dequeue" or first[step.value] == number]


def explained(history: Sequence[Step], exactly_once: bool) -> bool:
    """Whether some queue does this and ends empty: tries every effect of the operations of unknown outcome."""
    unknown = [number for number, step in enumerate(history) if step.end in ("info", "open")]
    effects = [(True, False) if history[number].f == "enqueue" else (*VALUES, None) for number in unknown]
    return any(
        _is_right(history, dict(zip(unknown, effect, strict=True)), exactly_once) for effect in product(*effects)
    )


def _is_right(history: Sequence[Step], effects: dict[int, object], exactly_once: bool) -> bool:
    """Whether a queue in which the operations of unknown outcome had these effects is right. A dequeue of unknown
    outcome may take its element at the very end."""
    owed = dict.fromkeys(VALUES, 0)
    put_in, out = dict(owed), dict(owed)
    for number, step in enumerate(history):
        if step.f == "enqueue" and step.value is not None and (step.end == "ok" or effects.get(number)):
            put_in[step.value] += 1
            owed[step.value] += 1
        if step.f == "dequeue" and step.end == "ok" and step.value is not None:
            out[step.value] += 1
            owed[step.value] = max(0, owed[step.value] - 1)
            if not put_in[step.value] or (exactly_once and out[step.value] > put_in[step.value]):
                return False
    for number, element in effects.items():
        if history[number].f == "dequeue" and element is not None:
            owed[str(element)] -= 1
    return all(left <= 0 for left in owed.values())


def convicted(history: Sequence[Step], exactly_once: bool) -> bool:
    def script(h: History) -> None:
        for number, step in enumerate(history):
            op = h.invoke(f"c{number}", step.f, "queue", step.value if step.f == "enqueue" else None)
            if step.end == "ok":
                h.ok(op, step.value if step.f == "dequeue" else None)
            elif step.end != "open":
                getattr(h, step.end)(op)

    return verdict(script, exactly_once=exactly_once).outcome == "violated"


@given(REPEATED.map(once), st.booleans())
def test_the_checker_convicts_exactly_what_no_queue_explains(history: list[Step], exactly_once: bool) -> None:
    assert convicted(history, exactly_once) == (not explained(history, exactly_once))


@given(REPEATED, st.booleans())
def test_values_that_are_enqueued_again_convict_nothing_that_a_queue_explains(
    history: list[Step], exactly_once: bool
) -> None:
    assert not (convicted(history, exactly_once) and explained(history, exactly_once))
