"""Lines that cannot be true together are named, whatever the cluster does."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from event_scripts import History, started
from raft_chaos.invariants.events import HARNESS, Event, MessageReceived, MessageSent, PhaseStarted, RunEnded
from raft_chaos.invariants.history import Op
from raft_chaos.invariants.rundir import RunDir
from raft_chaos.invariants.well_formed import contradictions


def sent(number: int, t_us: int = 0, to: str = "n2") -> MessageSent:
    return MessageSent(node="n1", inc=1, t_us=t_us, to=to, number=number, type="AppendEntries")


def arrived(number: int, kind: str = "AppendEntries") -> MessageReceived:
    return MessageReceived(node="n2", inc=1, t_us=0, sender="n1", sender_inc=1, number=number, type=kind)


WARMUP = PhaseStarted(node=HARNESS, inc=1, t_us=5, phase="warmup")
END = RunEnded(node=HARNESS, inc=1, t_us=9, reason="completed")
N1: list[Event] = [started("n1"), sent(1), sent(2, t_us=3), sent(5, t_us=3)]
N2: list[Event] = [started("n2"), arrived(1), arrived(5), arrived(1)]


def operations() -> list[Op]:
    h = History()
    h.put("c0", "a")
    h.read("c1", "a")
    return h.ops


def found(
    path: Path,
    n1: Sequence[Event] = N1,
    n2: Sequence[Event] = N2,
    harness: Sequence[Event] = (WARMUP, END),
    history: Sequence[Op] = (),
) -> list[str]:
    return contradictions(RunDir(path), list(harness), [list(n1), list(n2)], history or operations())  # type: ignore[arg-type, list-item]


def test_a_run_whose_lines_fit_has_no_contradiction(tmp_path: Path) -> None:
    """Messages may be lost or arrive twice, and those that could not be sent have a number without a line."""
    assert found(tmp_path) == []


@pytest.mark.parametrize("line", range(4), ids=["invoke of a put", "ok of a put", "invoke of a get", "ok of a get"])
def test_a_line_of_the_history_twice_is_one(tmp_path: Path, line: int) -> None:
    ops = operations()
    (why,) = found(tmp_path, history=[*ops[: line + 1], *ops[line:]])
    assert why.startswith(f"{tmp_path}/history.jsonl:{line + 2}: ")


def test_the_harness_going_back_in_time_is_one(tmp_path: Path) -> None:
    assert found(tmp_path, harness=[END, WARMUP]) == [
        f"{tmp_path}/harness.jsonl:2: its time is 5, but the line before is of 9"
    ]


@pytest.mark.parametrize(
    ("events", "why"),
    [
        (N1[1:], "1: expected `started` as the first line, and only there"),
        ([N1[0], *N1], "2: expected `started` as the first line, and only there"),
        ([*N1, N1[-1]], "5: message 5 was sent after message 5"),
        ([N1[0], N1[2], N1[1], N1[3]], "3: message 1 was sent after message 2"),
        ([N1[0], N1[1], sent(2, t_us=4), N1[3]], "4: its time is 3, but the message before was sent at 4"),
    ],
    ids=["no start", "two starts", "sent twice", "swapped", "back in time"],
)
def test_a_node_that_contradicts_itself_is_one(tmp_path: Path, events: list[Event], why: str) -> None:
    assert found(tmp_path, n1=events) == [f"{tmp_path}/nodes/n1/events-0001.jsonl:{why}"]


@pytest.mark.parametrize(
    ("n1", "n2"),
    [
        ([N1[0], N1[1], N1[2]], N2),
        ([*N1[:3], sent(5, t_us=3, to="n3")], N2),
        (N1, [N2[0], N2[1], arrived(5, kind="RequestVote")]),
    ],
    ids=["not sent", "sent to another node", "of another type"],
)
def test_a_message_that_arrived_without_being_sent_is_one(tmp_path: Path, n1: list[Event], n2: list[Event]) -> None:
    (why,) = found(tmp_path, n1=n1, n2=n2)
    assert why.startswith(f"{tmp_path}/nodes/n2/events-0001.jsonl:3: ")
    assert why.endswith(" 5 of n1, incarnation 1, arrived, but was never sent")


def test_a_system_that_reports_no_messages_sent_need_not(tmp_path: Path) -> None:
    assert found(tmp_path, n1=N1[:1]) == []


def test_an_order_that_counts_lines_which_are_not_there_is_one(tmp_path: Path) -> None:
    (tmp_path / "order").write_text("n1/1 3\nharness 2\nn1/1 2\n")
    assert found(tmp_path) == [f"{tmp_path}/order: counts 5 lines of n1/1, but there are 4"]
