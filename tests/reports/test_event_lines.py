"""The readable form of a trace: each kind of event in words, aligned, and nothing that breaks a line."""

from __future__ import annotations

from typing import get_args

import pytest

from raft_chaos.invariants.events import (
    HARNESS,
    AnsweredAgain,
    AnyEvent,
    ChangeAnswered,
    CommitAdvanced,
    ConfigurationUsed,
    EntryAppended,
    EntryApplied,
    FaultHealed,
    FaultInjected,
    LeaderObserved,
    LogsFollowed,
    LogsLost,
    LogTruncated,
    Members,
    MessageReceived,
    MessageSent,
    NodeExited,
    NodeKilled,
    NodeLaunched,
    NodePaused,
    NodeResumed,
    NodeSampled,
    PhaseStarted,
    PreVoteStarted,
    RoleChanged,
    RunEnded,
    SnapshotInstalled,
    SnapshotRestored,
    SnapshotTaken,
    Started,
    VoteGranted,
)
from raft_chaos.invariants.history import Op
from raft_chaos.reports.event_lines import event_line, event_lines

AT_US = 1_204_317
DIGEST = "9f3a01c2d4e5f607"


def _node(inc: int = 1, node: str = "n2") -> dict[str, object]:
    return {"node": node, "inc": inc, "t_us": AT_US}


def _harness(**more: object) -> dict[str, object]:
    return {"node": HARNESS, "inc": 1, "t_us": AT_US, **more}


def _subject(inc: int = 1) -> dict[str, object]:
    return _harness(subject="n2", subject_inc=inc)


def _op(type: str, f: str = "put", **more: object) -> Op:
    plain: dict[str, object] = {"process": 3, "client": "c2", "op": "c2/17", "key": "reg/c2/0", "t_us": AT_US}
    return Op(type=type, f=f, **{**plain, **more})


EVENTS: list[tuple[AnyEvent, str]] = [
    (
        Started(**_node(), term=0, voted_for=None, last_index=0, digest=""),
        "n2#1         started in term 0, no vote, log empty",
    ),
    (
        Started(**_node(2), term=3, voted_for="n2", last_index=14, digest=DIGEST),
        "n2#2         started in term 3, voted for n2, log up to 14 9f3a01c2",
    ),
    (RoleChanged(**_node(), role="candidate", term=3, leader=None), "n2#1         became candidate in term 3"),
    (RoleChanged(**_node(), role="leader", term=3, leader="n2"), "n2#1         became leader in term 3"),
    (
        RoleChanged(**_node(), role="follower", term=3, leader=None),
        "n2#1         became follower in term 3, leader unknown",
    ),
    (RoleChanged(**_node(), role="follower", term=3, leader="n1"), "n2#1         became follower in term 3, leader n1"),
    (
        SnapshotTaken(**_node(), index=4, term=2, digest=DIGEST, state=DIGEST),
        "n2#1         took a snapshot up to 4 (term 2) 9f3a01c2, state 9f3a01c2",
    ),
    (
        SnapshotInstalled(**_node(), index=4, term=2, digest=DIGEST, via="InstallSnapshot"),
        "n2#1         installed a snapshot up to 4 (term 2) 9f3a01c2",
    ),
    (
        SnapshotRestored(**_node(), index=4, term=2, digest=DIGEST),
        "n2#1         restored the state of the snapshot up to 4 (term 2), state 9f3a01c2",
    ),
    (PreVoteStarted(**_node(), term=3), "n2#1         asks whether it would win the election of term 3"),
    (VoteGranted(**_node(), term=3, candidate="n1"), "n2#1         voted for n1 in term 3"),
    (EntryAppended(**_node(), index=14, term=3, digest=DIGEST), "n2#1         appended 14 (term 3) 9f3a01c2"),
    (
        EntryAppended(**_node(), index=15, term=3, digest=DIGEST, members=Members(voters=("n1", "n2"))),
        "n2#1         appended 15 (term 3) 9f3a01c2: voters n1 n2",
    ),
    (
        ConfigurationUsed(
            **_node(), index=15, members=Members(voters=("n1", "n3"), old_voters=("n1", "n2"), learners=("n4",))
        ),
        "n2#1         uses configuration 15: voters n1 n3, jointly with n1 n2, learners n4",
    ),
    (LogTruncated(**_node(), from_index=12), "n2#1         truncates its log from 12 on"),
    (CommitAdvanced(**_node(), index=14, term=3), "n2#1         committed up to 14 in term 3"),
    (EntryApplied(**_node(), index=14, term=3, digest=DIGEST), "n2#1         applied 14 (term 3), state 9f3a01c2"),
    (MessageSent(**_node(), to="n3", number=17, type="RequestVote"), "n2#1 > n3    RequestVote #17"),
    (
        MessageReceived(**_node(), sender="n1", sender_inc=4, number=17, type="RequestVote"),
        "n2#1 < n1#4  RequestVote #17",
    ),
    (
        MessageReceived(**_node(10, "n10"), sender="n11", sender_inc=12, number=17, type="RequestVote"),
        "n10#10 < n11#12  RequestVote #17",
    ),
    (NodeLaunched(**_subject(2)), "harness      launched n2#2"),
    (NodeKilled(**_subject()), "harness      killed n2#1"),
    (NodePaused(**_subject()), "harness      paused n2#1"),
    (NodeResumed(**_subject()), "harness      resumed n2#1"),
    (NodeExited(**_subject(), exit_code=-11), "harness      n2#1 ended by itself with exit code -11"),
    (
        NodeExited(**_subject(), exit_code=1, log_tail="Traceback\n\x1b[31mKeyError\n"),
        r"harness      n2#1 ended by itself with exit code 1: Traceback \x1b[31mKeyError",
    ),
    (
        LogsFollowed(**_harness(), checked=True, target="my.toml"),
        "harness      who became leader is read in the nodes' logs, shown to be right by a check of the target",
    ),
    (
        LogsLost(**_harness(), why="the pattern was given up"),
        "harness      not all lines of the logs were read: the pattern was given up",
    ),
    (
        LeaderObserved(**_subject(), term=3, said="x leads", file="stderr", line=9, reporter="n2"),
        "harness      n2#1 says that it leads in term 3: x leads (line 9 of stderr in the log of n2)",
    ),
    (
        LeaderObserved(**_subject(), term=3, said="raft: elected leader"),
        "harness      n2#1 says that it leads in term 3: raft: elected leader",
    ),
    (
        NodeSampled(**_subject(), cpu_percent=12.34, rss_bytes=43_100_000, open_files=20, threads=3),
        "harness      n2#1 uses 12.3 % CPU, 43.1 MB, 20 files, 3 threads",
    ),
    (
        FaultInjected(**_harness(), fault="f03", type="kill", targets=("n1", "n2"), detail="SIGKILL", leader="n1"),
        "harness      fault f03 kill: SIGKILL (leader n1)",
    ),
    (
        FaultInjected(**_harness(), fault="f4", type="clog", targets=("n1", "n2")),
        "harness      fault f4 clog: n1, n2",
    ),
    (FaultInjected(**_harness(), fault="f4", type="clog", targets=()), "harness      fault f4 clog"),
    (
        FaultHealed(**_harness(), fault="f03", type="kill", effective=True, effect="n1 runs again"),
        "harness      healed f03 kill: n1 runs again",
    ),
    (
        FaultHealed(**_harness(), fault="f5", type="pause", effective=False, moot="f03"),
        "harness      healed f5 pause; without effect; moot: f03",
    ),
    (
        AnsweredAgain(**_harness(), client="c2", op="c2/16", refused=False, value="a", index=9),
        "harness      c2/16 of c2 arrived again: answered 'a', entry 9",
    ),
    (
        ChangeAnswered(**_harness(), subject="n2", index=7),
        "harness      n2 answered that a change of the members is done, entry 7",
    ),
    (
        AnsweredAgain(**_harness(), client="c2", op="c2/16", refused=True, error="expired"),
        "harness      c2/16 of c2 arrived again: refused (expired)",
    ),
    (PhaseStarted(**_harness(), phase="safety"), "harness      phase safety begins"),
    (
        PhaseStarted(**_harness(), phase="liveness", commit_target=31, owed=("n1", "n5"), bound_us=10_000_000),
        "harness      phase liveness begins, commit target 31, owed by n1, n5, bound 10 s",
    ),
    (
        PhaseStarted(**_harness(), phase="liveness", within_us=1_500_000),
        "harness      phase liveness begins, owed within 1.5 s",
    ),
    (RunEnded(**_harness(), reason="done"), "harness      the run ended: done"),
    (RunEnded(**_harness(), reason="done", max_late_us=3_210), "harness      the run ended: done, up to 3.2 ms late"),
]

OPERATIONS: list[tuple[Op, str]] = [
    (_op("invoke", value="c2-17"), "invoke c2/17 put reg/c2/0 = c2-17"),
    (_op("invoke", "append", value="c2-17"), "invoke c2/17 append reg/c2/0 + c2-17"),
    (_op("invoke", "cas", value="b", expected="a"), "invoke c2/17 cas reg/c2/0 = b if a"),
    (_op("invoke", "cas", value="b"), "invoke c2/17 cas reg/c2/0 = b if absent"),
    (_op("invoke", "delete"), "invoke c2/17 delete reg/c2/0"),
    (_op("invoke", "get"), "invoke c2/17 get reg/c2/0"),
    (_op("invoke", "get", final=True), "invoke c2/17 get reg/c2/0 (final read)"),
    (_op("ok"), "ok c2/17"),
    (_op("ok", index=14, term=3), "ok c2/17 at 14 (term 3)"),
    (_op("ok", "get"), "ok c2/17 = absent"),
    (_op("ok", "get", value="absent"), 'ok c2/17 = "absent"'),
    (_op("ok", "get", value=["a", "b c"]), 'ok c2/17 = ["a","b c"]'),
    (_op("ok", "get", value="", index=14), 'ok c2/17 = "" at 14'),
    (_op("fail", "cas", value="c"), "fail c2/17 = c"),
    (_op("fail", "get", error="no leader"), "fail c2/17: no leader"),
    (_op("info", "get", error="timed\nout\x07"), r"info c2/17: timed out\x07"),
]


@pytest.mark.parametrize(("event", "expected"), EVENTS, ids=lambda value: type(value).__name__)
def test_an_event_in_words(event: AnyEvent, expected: str) -> None:
    assert event_line(event) == f"  1.204317  {expected}"


def test_every_kind_of_event_has_its_words() -> None:
    assert {type(event) for event, _ in EVENTS} == set(get_args(AnyEvent))


@pytest.mark.parametrize(("op", "expected"), OPERATIONS, ids=lambda value: value if isinstance(value, str) else "")
def test_a_client_operation_in_words(op: Op, expected: str) -> None:
    assert event_line(op) == f"  1.204317  c2           {expected}"


def test_each_event_has_one_line_in_the_same_order_and_aligned() -> None:
    items = [*(event for event, _ in EVENTS), *(op for op, _ in OPERATIONS)]
    assert list(event_lines(items)) == [event_line(item) for item in items]
    times = [0, 999_999, 12_000_001, 9_999_999_999]
    lines = [event_line(LogTruncated(node="n1", inc=1, t_us=t_us, from_index=1)) for t_us in times]
    assert [text.split()[0] for text in lines] == ["0.000000", "0.999999", "12.000001", "9999.999999"]
    assert len({text.index("n1#1") for text in lines[:3]}) == 1


@pytest.mark.parametrize("hostile", ["a\nb", "a\r\nb", "\x1b[2J", "\u202eabc", "\u2028"])
def test_nothing_from_a_run_breaks_its_line(hostile: str) -> None:
    said = [
        event_line(EntryAppended(**_node(), index=1, term=1, digest=hostile)),
        event_line(MessageSent(**_node(), to=hostile, number=1, type=hostile)),
        event_line(FaultInjected(**_harness(), fault=hostile, type=hostile, targets=(hostile,), detail=hostile)),
        event_line(_op("invoke", value=hostile, key=hostile, client=hostile, op=hostile)),
        event_line(_op("info", error=hostile)),
    ]
    assert all(text.isprintable() for text in said)
