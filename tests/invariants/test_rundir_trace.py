"""The trace of a saved run: the order of its lines, its digest, and the first difference of two traces."""

from __future__ import annotations

import random
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

import pytest

from raft_chaos.invariants import events, history
from raft_chaos.invariants.events import (
    HARNESS,
    CommitAdvanced,
    Event,
    LogTruncated,
    MessageReceived,
    MessageSent,
    NodeKilled,
)
from raft_chaos.invariants.history import Op
from raft_chaos.invariants.rundir import RunDir, RunDirError, RunInfo, TraceItem
from raft_chaos.invariants.trace import KINDS, concerned, digest, first_difference, kind_of, trace_sha256


def cut(node: str, t_us: int, inc: int = 1) -> LogTruncated:
    """An event that is distinguished by its time."""
    return LogTruncated(node=node, inc=inc, t_us=t_us, from_index=1)


def killed(node: str, t_us: int) -> NodeKilled:
    return NodeKilled(node=HARNESS, inc=1, t_us=t_us, subject=node, subject_inc=1)


def sent(node: str, t_us: int, number: int, to: str) -> MessageSent:
    return MessageSent(node=node, inc=1, t_us=t_us, to=to, number=number, type="AppendEntries")


def received(node: str, t_us: int, number: int, sender: str) -> MessageReceived:
    return MessageReceived(
        node=node, inc=1, t_us=t_us, sender=sender, sender_inc=1, number=number, type="AppendEntries"
    )


def op(t_us: int, client: str = "c0") -> Op:
    return Op(type="invoke", process=0, client=client, op=f"{client}/{t_us}", f="get", key="k", t_us=t_us)


def item(event: Event | Op) -> TraceItem:
    match event:
        case Op():
            return TraceItem("history", event, history.encode(event))
        case _:
            stream = HARNESS if event.node == HARNESS else f"{event.node}/{event.inc}"
            return TraceItem(stream, event, events.encode(event))


def save(path: Path, script: Sequence[Event | Op], *, ordered: bool) -> RunDir:
    """Writes the lines into the files of a run, and as the order that of the script."""
    run = RunDir(path)
    path.mkdir(parents=True, exist_ok=True)
    run.save_info(RunInfo(seed=1))
    for one in map(item, script):
        append(file_of(run, one.stream), one.line)
        if ordered:
            append(run.order, f"{one.stream} 1\n".encode())
    return run


def file_of(run: RunDir, stream: str) -> Path:
    node, slash, inc = stream.partition("/")
    return run.node_events(node, int(inc)) if slash else {"harness": run.harness, "history": run.history}[stream]


def append(file: Path, raw: bytes) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("ab") as lines:
        lines.write(raw)


def stream_times(run: RunDir) -> list[tuple[str, int]]:
    return [(one.stream, one.event.t_us) for one in run.trace()]


# ---- the order ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_a_trace_has_the_order_in_which_its_lines_were_made(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    makers = [killed, cut, lambda node, t_us: cut(node, t_us, inc=2), lambda _, t_us: op(t_us)]
    # Times say nothing about the order here: all draws may be equal or go back.
    script = [rng.choice(makers)(f"n{rng.randint(1, 3)}", rng.randint(0, 3)) for _ in range(60)]
    run = save(tmp_path, script, ordered=True)
    assert list(run.trace()) == [item(event) for event in script]
    assert trace_sha256(run) == sha256(b"".join(item(event).line for event in script)).hexdigest()
    assert digest(run.trace()) == (trace_sha256(run), 60)


def test_a_line_of_the_order_covers_as_many_lines_as_its_count(tmp_path: Path) -> None:
    run = save(tmp_path, [cut("n1", t_us) for t_us in range(5)] + [op(9)], ordered=False)
    run.order.write_text("n1/1 3\nhistory 1\nn1/1 2\n")
    assert stream_times(run) == [("n1/1", 0), ("n1/1", 1), ("n1/1", 2), ("history", 9), ("n1/1", 3), ("n1/1", 4)]


def test_without_an_order_the_streams_are_merged_by_time_and_each_keeps_its_own(tmp_path: Path) -> None:
    script = [cut("n1", 5), cut("n1", 2), cut("n1", 3, inc=2), cut("n2", 4), killed("n3", 4), op(1), op(6)]
    run = save(tmp_path, script, ordered=False)
    assert stream_times(run) == [
        ("history", 1),
        ("harness", 4),
        ("n2/1", 4),
        ("n1/1", 5),
        ("n1/1", 2),
        ("n1/2", 3),
        ("history", 6),
    ]


def test_lines_that_the_order_does_not_name_come_last_by_time(tmp_path: Path) -> None:
    run = save(tmp_path, [op(9), cut("n1", 8)], ordered=True)
    for late in (op(4), cut("n1", 5), killed("n3", 3)):
        append(file_of(run, item(late).stream), item(late).line)
    assert stream_times(run) == [("history", 9), ("n1/1", 8), ("harness", 3), ("history", 4), ("n1/1", 5)]


def test_a_run_without_a_line_has_an_empty_trace(tmp_path: Path) -> None:
    assert digest(RunDir(tmp_path).trace()) == (sha256().hexdigest(), 0)


def test_a_line_ends_at_a_newline_and_nowhere_else(tmp_path: Path) -> None:
    run = save(tmp_path, [], ordered=False)
    line = b'{"kind":"log_truncated",\r"node":"n1","inc":1,"t_us":1,"from_index":1}\n'
    append(run.node_events("n1", 1), line)
    assert [one.line for one in run.trace()] == [line]
    assert len(run.node_streams()[0]) == 1


# ---- what does not fit -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("order", "said"),
    [
        ("n1/1 1\nn1/1 2\n", "order:2: takes 2 from n1/1, but {file} has only 1 left"),
        ("n1/2 1\n", "order:1: names the stream n1/2; there are harness, n1/1, history"),
        ("history 1\n", "order:1: takes 1 from history, but {history} has only 0 left"),
        ("n1/1 0\n", "order:1: expected a stream and a count, such as n1/2 3, got 'n1/1 0'"),
        ("n1/1\n", "order:1: expected a stream and a count, such as n1/2 3, got 'n1/1'"),
        ("\n", "order:1: expected a stream and a count, such as n1/2 3, got ''"),
    ],
)
def test_an_order_that_does_not_fit_the_files_is_refused(tmp_path: Path, order: str, said: str) -> None:
    run = save(tmp_path, [cut("n1", 1), cut("n1", 2)], ordered=False)
    run.order.write_text(order)
    with pytest.raises(RunDirError) as refused:
        list(run.trace())
    expected = said.format(file=run.node_events("n1", 1), history=run.history)
    assert str(refused.value) == f"{tmp_path}/{expected}"


def test_a_binary_order_file_is_refused(tmp_path: Path) -> None:
    run = save(tmp_path, [], ordered=False)
    run.order.write_bytes(b"\xff\xfe 1\n")
    with pytest.raises(RunDirError, match="order:1: names the stream"):
        list(run.trace())


def test_torn_last_lines_are_left_out_of_the_trace(tmp_path: Path) -> None:
    run = save(tmp_path, [cut("n1", 1), op(2)], ordered=True)
    before = digest(run.trace())
    append(run.node_events("n1", 1), b'{"kind":"log_tr')
    append(run.order, b"n1/1 1\nhist")
    assert digest(run.trace()) == before


def test_an_order_that_takes_more_lines_than_a_file_has_is_refused(tmp_path: Path) -> None:
    run = save(tmp_path, [cut("n1", 1)], ordered=True)
    append(run.node_events("n1", 1), b'{"kind":"log_tr')
    append(run.order, b"n1/1 1\nn1/1 1\n")
    with pytest.raises(RunDirError, match=r"order:3: .* has only 0 left"):
        list(run.trace())


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (events.encode(cut("n2", 1)), "an event of n2, incarnation 1; this file is that of n1, incarnation 1"),
        (b"nonsense\n", "JSON is malformed"),
        (b'{"kind":"\xff"}\n', "can't decode byte 0xff"),
    ],
)
@pytest.mark.parametrize("ordered", [True, False])
def test_a_line_that_cannot_be_read_is_named(tmp_path: Path, line: bytes, said: str, ordered: bool) -> None:
    run = save(tmp_path, [cut("n1", 1)], ordered=ordered)
    append(run.node_events("n1", 1), line)
    if ordered:
        append(run.order, b"n1/1 1\n")
    for read in (lambda: list(run.trace()), run.node_streams):
        with pytest.raises(RunDirError, match=f"{run.node_events('n1', 1)}:2: .*{said}"):
            read()


# ---- kinds and whose a line is -----------------------------------------------------------------------------------


def test_kinds_are_those_of_the_files() -> None:
    assert kind_of(cut("n1", 1)) == "log_truncated" and kind_of(op(1)) == "op"
    assert {"started", "message_sent", "run_ended", "op"} < set(KINDS)


def test_a_line_of_the_harness_concerns_the_nodes_that_it_acted_on() -> None:
    fault = events.FaultInjected(node=HARNESS, inc=1, t_us=1, fault="f1", type="pause", targets=("n1", "n2"))
    assert concerned(fault) == (HARNESS, "n1", "n2")
    assert concerned(killed("n3", 1)) == (HARNESS, "n3")
    assert concerned(cut("n1", 1)) == ("n1",)
    assert concerned(op(1, "c4")) == ("c4",)


# ---- the first difference ----------------------------------------------------------------------------------------


def items(script: Sequence[Event | Op]) -> list[TraceItem]:
    return [item(event) for event in script]


def test_equal_traces_have_no_difference() -> None:
    script = [cut("n1", 1), op(2), killed("n1", 3)]
    assert first_difference(items(script), items(script)) is None
    assert first_difference([], []) is None


def test_the_first_difference_names_its_fields() -> None:
    common: list[Event | Op] = [cut("n1", 1), op(2)]
    found = first_difference(items([*common, cut("n2", 3), op(4)]), items([*common, cut("n2", 5), op(6)]))
    assert found is not None and found.left is not None and found.right is not None
    assert found.common == 2
    assert (found.left.event, found.right.event) == (cut("n2", 3), cut("n2", 5))
    assert found.fields == {"t_us": (3, 5)}


def test_events_of_two_kinds_differ_in_their_kind_and_in_the_fields_of_both() -> None:
    commit = CommitAdvanced(node="n2", inc=1, t_us=3, index=1, term=1)
    found = first_difference(items([cut("n1", 3)]), items([commit]))
    assert found is not None
    assert found.fields == {"kind": ("log_truncated", "commit_advanced"), "node": ("n1", "n2")}


@pytest.mark.parametrize("swap", [False, True])
def test_a_trace_that_ends_earlier_differs_at_its_end(swap: bool) -> None:
    short, long = items([cut("n1", 1)]), items([cut("n1", 1), cut("n1", 2)])
    found = first_difference(long, short) if swap else first_difference(short, long)
    assert found is not None and (found.common, found.fields) == (1, {})
    assert (found.left, found.right) == ((long[1], None) if swap else (None, long[1]))
    assert found.before == [("same", short[0])]


def test_the_same_event_in_other_bytes_is_a_difference_without_a_field() -> None:
    one = item(cut("n1", 1))
    found = first_difference([one], [one._replace(line=one.line.replace(b",", b", "))])
    assert found is not None and found.fields == {}


def test_the_lines_before_a_difference_are_those_that_happened_before_it() -> None:
    script: list[Event | Op] = [
        cut("n1", 1),
        cut("n2", 2),
        killed("n1", 3),
        sent("n2", 4, 17, "n1"),
        cut("n2", 5),  # after the message had left: no cause
        cut("n3", 6),  # of a node that said nothing
        op(7),
        received("n1", 8, 17, "n2"),
    ]
    found = first_difference(items([*script, cut("n1", 9)]), items([*script, cut("n1", 10)]), context=5)
    assert found is not None
    assert [(relation, one.event.t_us) for relation, one in found.before] == [
        ("same", 1),
        ("cause", 2),
        ("same", 3),
        ("cause", 4),
        ("same", 8),
    ]


def test_the_sender_of_the_differing_message_itself_is_a_cause() -> None:
    script: list[Event | Op] = [cut("n2", 1), sent("n2", 2, 17, "n1"), cut("n3", 3)]
    ends = (received("n1", 4, 17, "n2"), received("n1", 5, 17, "n2"))
    found = first_difference(*(items([*script, end]) for end in ends), context=2)
    assert found is not None
    assert [(relation, one.event.t_us) for relation, one in found.before] == [("cause", 1), ("cause", 2)]


def test_the_last_lines_fill_up_if_few_lines_led_to_the_difference() -> None:
    script: list[Event | Op] = [cut("n1", 1), cut("n2", 2), cut("n2", 3), cut("n3", 4)]
    found = first_difference(items([*script, cut("n1", 5)]), items([*script, cut("n1", 6)]), context=3)
    assert found is not None
    assert [(relation, one.event.t_us) for relation, one in found.before] == [("same", 1), ("other", 3), ("other", 4)]


def test_anything_may_have_led_to_what_a_client_saw() -> None:
    script: list[Event | Op] = [op(1), cut("n1", 2), op(3, "c1"), cut("n2", 4)]
    found = first_difference(items([*script, op(5)]), items([*script, op(6)]), context=4)
    assert found is not None
    assert [relation for relation, _ in found.before] == ["same", "other", "other", "other"]
    assert first_difference(items([op(1), op(2)]), items([op(1), op(3)]), context=0).before == []


@pytest.mark.parametrize("seed", range(10))
def test_causes_are_the_lines_from_which_messages_lead_to_the_difference(seed: int) -> None:
    rng = random.Random(seed)
    script: list[Event | Op] = []
    past: list[set[int]] = []  # by line: itself and all that happened before it, computed forwards
    latest: dict[str, set[int]] = {}
    in_flight: list[tuple[MessageSent, set[int]]] = []
    for place in range(60):
        node = f"n{rng.randint(1, 5)}"
        event: Event
        before = latest.get(node, set())
        match rng.choice(["local", "send", "receive"]):
            case "send":
                event = sent(node, place, place, f"n{rng.randint(1, 5)}")
            case "receive" if in_flight:
                message, past_of_message = in_flight.pop(rng.randrange(len(in_flight)))
                event, before = received(node, place, message.number, message.node), before | past_of_message
            case _:
                event = cut(node, place)
        latest[node] = before | {place}
        past.append(latest[node])
        script.append(event)
        if isinstance(event, MessageSent):
            in_flight.append((event, latest[node]))
    last = script.pop()
    found = first_difference(items(script), items([*script, last]), context=len(script))
    assert found is not None and [one.event for _, one in found.before] == script
    for place, (relation, one) in enumerate(found.before):
        own = concerned(one.event) == concerned(last)
        assert relation == ("same" if own else "cause" if place in past[-1] else "other")
