"""`raft-chaos trace` and `raft-chaos diff`, on run directories that are small enough to read."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

import pytest

from builders.commands import RAFT_CHAOS, InLines
from raft_chaos.invariants import events, history
from raft_chaos.invariants.events import (
    HARNESS,
    CommitAdvanced,
    Event,
    MessageReceived,
    MessageSent,
    NodeKilled,
    RoleChanged,
    Started,
)
from raft_chaos.invariants.history import Op
from raft_chaos.invariants.rundir import RunDir, RunInfo
from raft_chaos.invariants.trace import KINDS, trace_sha256

SCRIPT: list[Event | Op] = [
    Started(node="n1", inc=1, t_us=0, term=0, voted_for=None, last_index=0, digest=""),
    Started(node="n2", inc=1, t_us=0, term=0, voted_for=None, last_index=0, digest=""),
    RoleChanged(node="n2", inc=1, t_us=150_000, role="candidate", term=1, leader=None),
    MessageSent(node="n2", inc=1, t_us=150_000, to="n1", number=1, type="RequestVote"),
    MessageReceived(node="n1", inc=1, t_us=150_600, sender="n2", sender_inc=1, number=1, type="RequestVote"),
    Op(type="invoke", process=0, client="c0", op="c0/0", f="put", key="k", value="a", t_us=151_000),
    NodeKilled(node=HARNESS, inc=1, t_us=200_000, subject="n2", subject_inc=1),
    Started(node="n2", inc=2, t_us=190_000, term=1, voted_for="n2", last_index=0, digest=""),
]
READ = [
    "  0.000000  n1#1         started in term 0, no vote, log empty",
    "  0.000000  n2#1         started in term 0, no vote, log empty",
    "  0.150000  n2#1         became candidate in term 1",
    "  0.150000  n2#1 > n1    RequestVote #1",
    "  0.150600  n1#1 < n2#1  RequestVote #1",
    "  0.151000  c0           invoke c0/0 put k = a",
    "  0.200000  harness      killed n2#1",
    "  0.190000  n2#2         started in term 1, voted for n2, log empty",
]


def save(path: Path, script: Sequence[Event | Op]) -> RunDir:
    """A run whose scheduler made these lines in this order."""
    run = RunDir(path)
    path.mkdir()
    run.save_info(RunInfo(seed=1, world="sim", nodes=["n1", "n2"]))
    for one in script:
        if isinstance(one, Op):
            stream, file, line = "history", run.history, history.encode(one)
        elif one.node == HARNESS:
            stream, file, line = "harness", run.harness, events.encode(one)
        else:
            stream, file, line = f"{one.node}/{one.inc}", run.node_events(one.node, one.inc), events.encode(one)
        file.parent.mkdir(parents=True, exist_ok=True)
        for to, raw in ((file, line), (run.order, f"{stream} 1\n".encode())):
            with to.open("ab") as lines:
                lines.write(raw)
    return run


# ---- trace -------------------------------------------------------------------------------------------------------


def test_a_trace_has_one_line_per_event_in_the_order_of_the_run(in_lines: InLines, tmp_path: Path) -> None:
    save(tmp_path / "run", SCRIPT)
    assert in_lines("trace", "run") == (0, READ, "")


@pytest.mark.parametrize(
    ("options", "shown"),
    [
        (["--node", "n1"], [0, 4]),
        (["--node", "n2"], [1, 2, 3, 6, 7]),
        (["--node", "n2", "--node", "n1"], [0, 1, 2, 3, 4, 6, 7]),
        (["--from", "0.15"], [2, 3, 4, 5, 6, 7]),
        (["--until", "0.1506"], [0, 1, 2, 3, 4]),
        (["--from", "0.1506", "--until", "0.1506"], [4]),
        (["--kind", "op"], [5]),
        (["--kind", "message_sent, message_received"], [3, 4]),
        (["--limit", "2"], [0, 1]),
        (["--limit", "100"], list(range(8))),
        (["--node", "n2", "--kind", "started", "--from", "0.1", "--limit", "1"], [7]),
        (["--from", "5"], []),
    ],
)
def test_options_select_the_lines_of_a_trace(
    options: list[str], shown: list[int], in_lines: InLines, tmp_path: Path
) -> None:
    save(tmp_path / "run", SCRIPT)
    assert in_lines("trace", "run", *options) == (0, [READ[place] for place in shown], "")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--node", "n3"], "--node: 'n3' is no node of run; there are n1, n2"),
        (["--kind", "op,votes"], f"--kind: there is no 'votes'; there are {', '.join(KINDS)}"),
        (["--kind", ""], f"--kind: there is no ''; there are {', '.join(KINDS)}"),
        (
            ["--from", "2", "--until", "1"],
            "--until: expected a time that is not before --from (2 s), got 1",
        ),
        (["--until", "nan"], "--until: expected a time that is not before --from (0 s), got nan"),
        (["--limit", "0"], "--limit: expected at least 1, got '0'"),
    ],
)
def test_a_wrong_argument_of_trace_is_named(options: list[str], said: str, in_lines: InLines, tmp_path: Path) -> None:
    save(tmp_path / "run", SCRIPT)
    assert in_lines("trace", "run", *options) == (254, [], f"raft-chaos: {said}\n")


@pytest.mark.parametrize("arguments", [["trace", "none"], ["diff", "run", "none"], ["diff", "none", "run"]])
def test_a_folder_that_is_no_run_is_refused(arguments: list[str], in_lines: InLines, tmp_path: Path) -> None:
    save(tmp_path / "run", SCRIPT)
    said = "raft-chaos: none is not a run directory: cannot read run.json (No such file or directory)\n"
    assert in_lines(*arguments) == (254, [], said)


@pytest.mark.parametrize("arguments", [["trace", "run"], ["diff", "run", "run"]])
def test_an_order_that_does_not_fit_is_refused(arguments: list[str], in_lines: InLines, tmp_path: Path) -> None:
    save(tmp_path / "run", SCRIPT).history.unlink()
    code, _, said = in_lines(*arguments)
    assert (code, said) == (
        254,
        "raft-chaos: run/order:6: takes 1 from history, but run/history.jsonl has only 0 left\n",
    )


def test_a_closed_pipe_is_no_error(tmp_path: Path) -> None:
    save(tmp_path / "run", [event for event in SCRIPT for _ in range(300)])  # more than a pipe and a buffer hold
    theirs, ours = os.pipe()
    with subprocess.Popen([RAFT_CHAOS, "trace", tmp_path / "run"], stdout=ours, stderr=subprocess.PIPE) as process:
        os.close(ours)
        assert os.read(theirs, 10) == READ[0][:10].encode()
        os.close(theirs)
        assert process.communicate(timeout=30) == (None, b"")
    assert process.returncode == 141


# ---- diff --------------------------------------------------------------------------------------------------------


def test_equal_runs_print_their_digest(in_lines: InLines, tmp_path: Path) -> None:
    left, right = (save(tmp_path / name, SCRIPT) for name in ("a", "b"))
    told = f"equal: 8 events, SHA-256 {trace_sha256(left)}"
    assert in_lines("diff", "a", "b") == (0, [told], "")
    assert trace_sha256(right) == trace_sha256(left)


def test_a_run_without_events_equals_another_one(in_lines: InLines, tmp_path: Path) -> None:
    save(tmp_path / "a", [])
    assert in_lines("diff", "a", "a") == (0, [f"equal: 0 events, SHA-256 {sha256().hexdigest()}"], "")


def test_runs_of_different_orders_differ(in_lines: InLines, tmp_path: Path) -> None:
    save(tmp_path / "a", SCRIPT)
    save(tmp_path / "b", [SCRIPT[1], SCRIPT[0], *SCRIPT[2:]])
    code, told, said = in_lines("diff", "a", "b")
    assert (code, said) == (1, "")
    assert told == [
        "0 events equal, then the runs differ.",
        "a:",
        f"  {READ[0]}",
        "b:",
        f"  {READ[1]}",
        "They differ in:",
        '  node: "n1", "n2"',
    ]


def test_a_difference_prints_what_led_to_it(in_lines: InLines, tmp_path: Path) -> None:
    ends = [CommitAdvanced(node="n1", inc=1, t_us=210_000, index=index, term=1) for index in (1, 2)]
    for name, end in zip("ab", ends, strict=True):
        save(tmp_path / name, [*SCRIPT, end, SCRIPT[0]])
    assert in_lines("diff", "a", "b", "--context", "4") == (
        1,
        [
            "8 events equal, then the runs differ.",
            "Before that (* the same node or client, < what happened before it elsewhere):",
            f"< {READ[1]}",
            f"< {READ[2]}",
            f"< {READ[3]}",
            f"* {READ[4]}",
            "a:",
            "    0.210000  n1#1         committed up to 1 in term 1",
            "b:",
            "    0.210000  n1#1         committed up to 2 in term 1",
            "They differ in:",
            "  index: 1, 2",
        ],
        "",
    )
    assert in_lines("diff", "a", "b", "--context", "0")[1][1] == "a:"


def test_a_longer_run_differs_from_one_that_ended(in_lines: InLines, tmp_path: Path) -> None:
    save(tmp_path / "a", SCRIPT)
    save(tmp_path / "b", SCRIPT[:-1])
    code, told, _ = in_lines("diff", "a", "b")
    assert (code, told[0]) == (1, "7 events equal, then the runs differ.")
    assert told[-4:] == ["a:", f"  {READ[7]}", "b:", "  nothing more"]


def test_the_same_event_in_other_bytes_is_a_difference(in_lines: InLines, tmp_path: Path) -> None:
    save(tmp_path / "a", SCRIPT)
    history_b = save(tmp_path / "b", SCRIPT).history
    history_b.write_bytes(history_b.read_bytes().replace(b'","', b'", "'))
    code, told, _ = in_lines("diff", "a", "b")
    assert (code, told[-1]) == (1, "The events are equal, but their bytes differ.")
