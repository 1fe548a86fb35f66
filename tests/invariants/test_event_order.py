"""The order of the operations of a file, from its lines and its clock."""

from __future__ import annotations

import re
from random import Random
from typing import Any

import pytest

from history_lines import jepsen, line, mistake, read
from raft_chaos.invariants.history import decode
from raft_chaos.invariants.linearizability.check import check


def test_an_operation_never_ends_before_its_call_though_a_clock_may_slip() -> None:
    text = jepsen(0, "invoke", "write", "3", ", :time 100") + jepsen(0, "ok", "write", "3", ", :time 50")
    assert mistake("edn", text, "register") == "h:2: ends at 50 ns (:time), before its call at 100: write in line 1"


def test_operations_with_equal_times_overlap_except_within_one_process() -> None:
    history = read(
        "jsonl",
        line("invoke", 0, "put", 10, value="a")
        + line("ok", 0, "put", 20)
        + line("invoke", 1, "get", 20)
        + line("invoke", 0, "get", 20)
        + line("ok", 1, "get", 20)
        + line("ok", 0, "get", 21, value="a"),
    )
    assert [(each.called, each.returned) for each in history.operations] == [(1, 2), (2, 3), (3, 4)]
    assert check(history.operations, "kv").verdict == "valid", "the read of nothing came before the write"


def test_an_index_is_a_finer_order_than_the_clock() -> None:
    text = (
        jepsen(0, "invoke", "write", "3", ", :time 5, :index 0")
        + jepsen(0, "ok", "write", "3", ", :time 5, :index 1")
        + jepsen(1, "invoke", "read", "nil", ", :time 5, :index 2")
        + jepsen(1, "ok", "read", "nil", ", :time 5, :index 3")
    )
    assert check(read("edn", text, "register").operations, "register").verdict == "violated"
    without = re.sub(r", :index \d", "", text)
    assert check(read("edn", without, "register").operations, "register").verdict == "valid"


def test_a_clock_may_slip_a_little_between_the_threads_of_jepsen() -> None:
    text = (
        jepsen(0, "invoke", "write", "3", ", :time 100143078146")
        + jepsen(0, "ok", "write", "3", ", :time 100143078246")
        + jepsen(1, "invoke", "read", "nil", ", :time 100143078165")
        + jepsen(1, "ok", "read", "nil", ", :time 100143078300")
    )
    history = read("edn", text, "register")
    assert [(each.called, each.returned) for each in history.operations] == [(1, 2), (3, 4)], "lines are in order"


def test_of_several_processes_that_continue_within_a_tick_the_first_is_ordered_with_itself() -> None:
    text = (
        jepsen(0, "invoke", "write", "2", ", :time 0")
        + jepsen(0, "ok", "write", "2", ", :time 0")
        + jepsen(0, "invoke", "read", more=", :time 0")
        + jepsen(1, "invoke", "read", more=", :time 0")
        + jepsen(1, "ok", "read", more=", :time 0")
        + jepsen(1, "invoke", "read", more=", :time 0")
        + jepsen(1, "ok", "read", "2", ", :time 0")
        + jepsen(0, "ok", "read", "2", ", :time 8")
    )
    history = read("edn", text, "register")
    assert [(o.called, o.returned) for o in history.operations] == [(1, 1), (2, 3), (1, 2), (1, 2)]
    assert check(history.operations, "register").verdict == "valid"


def test_a_time_out_of_range_is_refused() -> None:
    said = mistake("edn", jepsen(0, "invoke", "read", more=f", :time {10**400}"), "register")
    assert said == "h:1: the time 10000000000000000000... ns (:time): expected a number of at most 64 bits"


@pytest.mark.parametrize("ticks", [1, 2, 5])
def test_the_order_of_lines_within_one_tick_proves_no_violation(ticks: int) -> None:
    """Several processes on one register; what a tick holds is written down in any order that each process allows."""
    split = 0
    for seed in range(1_500):
        random = Random(f"ticks/{ticks}/{seed}")
        lines = _shuffled(random, _played(random), ticks)
        history = read("jsonl", "".join(lines))
        answer = check(history.operations, "kv")
        assert answer.verdict == "valid", (answer, lines)
        split += len({o.called for o in history.operations}) > len(
            {o.t_us for o in map(decode, map(str.encode, lines))}
        )
    assert split > 50, "processes did go on within a tick"


def _played(random: Random) -> list[tuple[int, dict[str, Any]]]:
    """The lines of a valid history, by the moments at which they were seen: (process, fields)."""
    state, running, lines = None, dict[int, list[Any]](), []
    for _ in range(random.randint(6, 24)):
        process = random.randrange(3)
        if process not in running:
            f = random.choice(["put", "get"])
            running[process] = [f, f"v{len(lines)}" if f == "put" else None, False]
            lines.append((process, {"type": "invoke", "f": f, "value": running[process][1]}))
        elif not running[process][2]:
            running[process][2] = True  # now it takes effect
            if running[process][0] == "put":
                state = running[process][1]
            else:
                running[process][1] = state
        else:
            f, value, _ = running.pop(process)
            lines.append((process, {"type": "ok", "f": f, "value": value if f == "get" else None}))
    return lines


def _shuffled(random: Random, lines: list[tuple[int, dict[str, Any]]], ticks: int) -> list[str]:
    """The lines with the time of a clock that ticks so often, those of a tick in another order."""
    clock = sorted(random.randint(1, ticks) for _ in lines)
    written = []
    for tick in range(1, ticks + 1):
        by_process: dict[int, list[dict[str, Any]]] = {}
        for time, (process, fields) in zip(clock, lines, strict=True):
            if time == tick:
                by_process.setdefault(process, []).append(fields)
        while by_process:
            process = random.choice(list(by_process))
            fields = by_process[process].pop(0)
            if not by_process[process]:
                del by_process[process]
            written.append(line(fields["type"], process, fields["f"], tick, value=fields["value"]))
    return written
