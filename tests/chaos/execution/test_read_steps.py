"""Reads without a log entry in an execution: submitted, answered, refused, given up, and after other steps went."""

from __future__ import annotations

import msgspec
import pytest
from msgspec.structs import replace

from builders.executions import ELECTION, GET, PUT, WRITE, Lines, execution, play
from raft_chaos.chaos.execution.narrate import narrate
from raft_chaos.chaos.execution.steps import (
    Call,
    Deliver,
    Execution,
    ExecutionError,
    Invoke,
    Persist,
    Return,
    Step,
    Submit,
    check,
)
from raft_chaos.chaos.run.sim.recorder import HISTORY_STREAM
from raft_chaos.raft.server.parts import Parts

INDEX_READ = replace(GET, id="c2/0", client="c2", process=2, session="c2.2", consistency="read_index")
STALE_READ = replace(GET, id="c3/0", client="c3", process=3, session="c3.3", consistency="stale")
CALLS: tuple[Call, ...] = (PUT, GET, INDEX_READ, STALE_READ)

READ: tuple[Step, ...] = (
    *ELECTION,
    *WRITE,
    Invoke("c2/0"),  # 19
    Submit("n1", "c2/0"),  # 20: a round of heartbeats
    Deliver(20, "n3"),  # 21: it has no entry yet
    Persist("n3"),  # 22: its rejection confirms the leadership
    Deliver(22, "n1"),  # 23: the answer
    Return("c2/0", answer=20),  # 24
    Invoke("c3/0"),  # 25
    Submit("n3", "c3/0"),  # 26
    Return("c3/0", answer=26),  # 27
)


def operations(steps: tuple[Step, ...]) -> list[tuple[object, ...]]:
    """How the operations on the history end: type, value, index, and the incarnation that answered."""
    sink = Lines()
    one = execution(steps, CALLS)
    check(one)
    saved = msgspec.json.decode(msgspec.json.encode(one), type=Execution)
    assert play(saved, sink=sink).done == list(range(len(steps)))
    lines = [line for stream, line in sink.all if stream == HISTORY_STREAM and line["type"] != "invoke"]
    return [(x["op"], x["type"], x.get("value"), x.get("index"), x.get("node"), x.get("inc")) for x in lines]


def test_both_kinds_of_reads_are_played_and_say_who_answered() -> None:
    assert operations(READ) == [
        ("c0/0", "ok", None, 2, None, None),
        ("c2/0", "ok", "1", 2, "n1", 1),
        ("c3/0", "ok", None, 0, "n3", 1),
    ]


def test_their_steps_are_told() -> None:
    told = "\n".join(narrate(execution(READ, CALLS), Parts()))
    assert "n1 is asked by c2: c2/0 get x (read_index)" in told
    assert "answers 20: 1, applied up to 2" in told
    assert "answers 26: nothing, applied up to 0" in told


def test_a_read_may_fail_after_it_was_submitted_and_arrive_after_it_failed() -> None:
    steps = (*READ[:21], Return("c2/0", type="fail", error="no answer in time"), Submit("n1", "c2/0"))
    assert operations(steps)[-1] == ("c2/0", "fail", None, None, None, None)


def test_a_write_may_not() -> None:
    steps = (*ELECTION, Invoke("c0/0"), Submit("n1", "c0/0"), Return("c0/0", type="fail"))
    with pytest.raises(ExecutionError, match="was submitted, so it may have happened"):
        play(execution(steps, CALLS))


def test_only_a_get_has_a_consistency() -> None:
    with pytest.raises(ExecutionError, match="'c0/0': consistency: expected none, which only a get can have"):
        check(execution((), (replace(PUT, consistency="stale"),)))
