"""Steps as data: the execution after removing steps, and validation before a play."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from builders.executions import ELECTION, GET, PUT, WRITE, execution
from builders.schedules import NODES
from raft_chaos.chaos.execution.steps import (
    MOST_US,
    BreakDisk,
    Call,
    Crash,
    Deliver,
    Execution,
    ExecutionError,
    Invoke,
    Note,
    Persist,
    Return,
    Start,
    Step,
    Submit,
    Timeout,
    check,
    keep,
    without_times,
)
from raft_chaos.invariants.events import HARNESS, NodeExited, NodeKilled, NodeLaunched, NodePaused, PhaseStarted

WHOLE = execution((*ELECTION, *WRITE))


def left(one: Execution, *gone: int) -> list[int]:
    return [number for number in range(len(one.steps)) if number not in gone]


# ---- keep --------------------------------------------------------------------------------------------------------


def test_keeping_all_steps_changes_nothing() -> None:
    whole = replace(WHOLE, calls=[PUT])
    assert keep(whole, left(whole)) == keep(whole, left(whole), redirect=True) == whole


def test_references_follow_what_they_refer_to() -> None:
    kept = keep(WHOLE, left(WHOLE, 0, 2, 8))
    assert kept.steps[2:6] == [Persist("n1"), Deliver(2, "n2"), Persist("n2"), Deliver(4, "n1")]
    assert kept.steps[-1] == Return("c0/0", answer=10)


def test_steps_that_refer_to_a_removed_step_are_removed() -> None:
    """Steps that refer to those are removed too."""
    kept = keep(WHOLE, left(WHOLE, 4))
    assert [step for step in kept.steps if isinstance(step, Deliver)] == [
        Deliver(4, "n1"),
        Deliver(5, "n2"),
        Deliver(8, "n1"),
        Deliver(11, "n2"),
        Deliver(14, "n1"),
    ]
    assert len(kept.steps) == len(WHOLE.steps) - 2
    assert not [step for step in keep(WHOLE, left(WHOLE, 13)).steps if isinstance(step, Return)]


def test_redirected_deliveries_refer_to_the_step_before_of_the_same_node() -> None:
    kept = keep(WHOLE, left(WHOLE, 4), redirect=True)
    assert kept.steps[4] == Deliver(3, "n2"), "n1's step before that one"
    nothing_before = keep(WHOLE, left(WHOLE, 0, 3, 4), redirect=True)
    assert nothing_before.steps[2] == Persist("n2"), "n1 did nothing before it"


def test_no_delivery_refers_to_damage_instead() -> None:
    steps = [*WHOLE.steps[:4], BreakDisk("n1"), *WHOLE.steps[4:]]
    damaged = replace(
        WHOLE, steps=[replace(s, sent_by=5) if isinstance(s, Deliver) and s.sent_by == 4 else s for s in steps]
    )
    kept = keep(damaged, left(damaged, 5), redirect=True)
    assert kept.steps[5] == Deliver(3, "n2"), "n1's step before its disk failed"


def test_calls_that_no_step_names_are_removed() -> None:
    assert WHOLE.calls == [PUT, GET]
    assert keep(WHOLE, left(WHOLE)).calls == [PUT]
    assert keep(WHOLE, left(WHOLE, 12, 13, 18)).calls == []
    assert keep(WHOLE, left(WHOLE, 12, 13)).calls == [], "the return went with its submission"


def test_only_notes_keep_their_time() -> None:
    note = Note(NodePaused(node=HARNESS, inc=1, t_us=7, subject="n1", subject_inc=1))
    assert without_times(note) is note
    assert without_times(Crash("n1", 5, at_us=9)) == Crash("n1", 5)
    assert without_times(Deliver(1, "n1", 2, 9, True, "mid_send")) == Deliver(1, "n1", 2, None, True, "mid_send")


# ---- properties --------------------------------------------------------------------------------------------------

CALLS = [PUT, GET]
nodes = st.sampled_from(NODES)
calls = st.sampled_from([call.id for call in CALLS])
times = st.none() | st.integers(0, MOST_US)


@st.composite
def executions(draw: st.DrawFn) -> Execution:
    """Any execution that `check` accepts, even if it cannot be played."""
    steps: list[Step] = []
    for number in range(draw(st.integers(0, 12))):
        kinds: list[st.SearchStrategy[Step]] = [
            st.builds(Start, nodes, times),
            st.builds(Crash, nodes, st.integers(0, 99), times),
            st.builds(Timeout, nodes, times, st.booleans()),
            st.builds(Persist, nodes, times),
            st.builds(Submit, nodes, calls, times),
            st.builds(Invoke, calls, times),
            st.builds(Return, calls, st.none(), st.sampled_from(["info", "fail"])),
        ]
        if number:
            kinds.append(st.builds(Deliver, st.integers(0, number - 1), nodes, st.integers(0, 2)))
        kinds += [
            st.just(Return(step.call, answer=place)) for place, step in enumerate(steps) if isinstance(step, Submit)
        ]
        steps.append(draw(st.one_of(kinds)))
    return execution(steps)


@settings(max_examples=40, deadline=None)
@given(executions(), st.data())
def test_the_kept_steps_of_an_execution_are_a_valid_execution(whole: Execution, data: st.DataObject) -> None:
    check(whole)
    kept = sorted(data.draw(st.sets(st.integers(0, max(0, len(whole.steps) - 1))))) if whole.steps else []
    for redirect in (False, True):
        smaller = keep(whole, kept, redirect=redirect)
        check(smaller)
        assert len(smaller.steps) <= len(kept)
        assert keep(smaller, left(smaller), redirect=redirect) == smaller


@settings(max_examples=20, deadline=None)
@given(executions())
def test_an_execution_is_equal_after_encoding_and_decoding(whole: Execution) -> None:
    assert msgspec.json.decode(msgspec.json.encode(whole), type=Execution) == whole


# ---- what is refused ---------------------------------------------------------------------------------------------

HEAD: Sequence[Step] = (Start("n1"), Invoke("c0/0"), Submit("n1", "c0/0"))
KILLED = {"node": HARNESS, "inc": 1, "t_us": 1, "subject": "n1", "subject_inc": 1}
ONE_OF = "expected one of n1, n2, n3"


@pytest.mark.parametrize(
    ("step", "said"),
    [
        (Start("n9"), f"(start): node 'n9' is unknown; {ONE_OF}"),
        (Crash(""), f"(crash): node '' is unknown; {ONE_OF}"),
        (Deliver(0, "n9"), f"(deliver): node 'n9' is unknown; {ONE_OF}"),
        (Crash("n1", -1), "(crash): keep_bytes: expected 0 or more, got -1"),
        (Deliver(3, "n1"), "(deliver): expected a message of an earlier step, got message 0 of step 3"),
        (Deliver(4, "n1"), "(deliver): expected a message of an earlier step, got message 0 of step 4"),
        (Deliver(-1, "n1"), "(deliver): expected a message of an earlier step, got message 0 of step -1"),
        (Deliver(0, "n1", -1), "(deliver): expected a message of an earlier step, got message -1 of step 0"),
        (Submit("n1", "c9/0"), "(submit): call 'c9/0' is unknown"),
        (Invoke("c9/0"), "(invoke): call 'c9/0' is unknown"),
        (Return("c9/0"), "(return): call 'c9/0' is unknown"),
        (Return("c0/0", answer=3), "(return): expected the answer to an earlier step that submits 'c0/0', got that to"),
        (Return("c0/0", answer=-1), "(return): expected the answer to an earlier step that submits 'c0/0', got that"),
        (Return("c0/0", answer=0), "(return): expected the answer to an earlier step that submits 'c0/0', got that to"),
        (Return("c1/0", answer=2), "(return): expected the answer to an earlier step that submits 'c1/0', got that to"),
        (Return("c0/0", type="ok"), '(return): type: expected "info" or "fail", got \'ok\''),
        (Note(NodeKilled(**KILLED)), "(note): event: a note cannot start, kill or end a node"),
        (Note(NodeLaunched(**KILLED)), "(note): event: a note cannot start, kill or end a node"),
        (Note(NodeExited(**KILLED, exit_code=1)), "(note): event: a note cannot start, kill or end a node"),
        (
            Note(PhaseStarted(node="n1", inc=1, t_us=1, phase="safety")),
            "(note): event: expected an event of 'harness', got one",
        ),
        (Note(PhaseStarted(node=HARNESS, inc=1, t_us=-1, phase="safety")), "(note): at_us: expected 0 to 9007199254"),
        (Timeout("n1", -1), "(timeout): at_us: expected 0 to 9007199254740992, got -1"),
        (Start("n2", MOST_US + 1), "(start): at_us: expected 0 to 9007199254740992, got 9007199254740993"),
    ],
)
def test_invalid_steps_are_refused(step: Step, said: str) -> None:
    check(execution(HEAD))
    with pytest.raises(ExecutionError) as error:
        check(execution([*HEAD, step]))
    assert str(error.value).startswith(f"step 3 {said}")


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ([], "nodes: expected at least one name, each only once, got []"),
        (["n1", "n1"], "nodes: expected at least one name, each only once, got ['n1', 'n1']"),
        (["n1", "../n2"], "nodes: '../n2' is not a valid name; expected letters, digits, - and _"),
        (["n1", "n2\n"], "nodes: 'n2\\n' is not a valid name; expected letters, digits, - and _"),
    ],
)
def test_names_of_nodes(names: list[str], said: str) -> None:
    with pytest.raises(ExecutionError) as error:
        check(execution((), nodes=names))
    assert str(error.value) == said


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (PUT, "calls: 'c0/0' occurs twice; expected each id only once"),
        (replace(PUT, id="c0/1"), "call 'c0/1': another call has serial 1 of c0.0 too"),
        (replace(GET, serial=-1), "call 'c1/0': serial and process: expected -1 or 0 to 9007199254740992"),
        (replace(GET, process=-2), "call 'c1/0': serial and process: expected -1 or 0 to 9007199254740992"),
        (replace(GET, value="1"), "call 'c1/0': value: got '1', which get cannot have"),
        (replace(GET, f="append"), "call 'c1/0': value: got None, which append cannot have"),
        (replace(GET, f="cas", value=["1"]), "call 'c1/0': value: got ['1'], which cas cannot have"),
        (replace(GET, expected="1"), "call 'c1/0': expected: got '1', which get cannot have"),
    ],
)
def test_invalid_calls_are_refused(call: Call, said: str) -> None:
    check(execution((), calls=[PUT, GET, replace(GET, id="c1/1", session=None), replace(GET, id="c1/2", session=None)]))
    with pytest.raises(ExecutionError) as error:
        check(execution((), calls=[PUT, call]))
    assert str(error.value) == said
