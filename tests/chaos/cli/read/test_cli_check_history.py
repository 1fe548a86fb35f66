"""`raft-chaos check --history`: its output for a history of another system, its exit codes, and its errors."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import pytest

from builders.commands import InLines
from builders.runs import recorded_run
from builders.schedules import TWO_LEADERS, short
from raft_chaos.chaos.cli.read import check_history
from raft_chaos.invariants.linearizability.check import Compared
from raft_chaos.invariants.linearizability.operations import Answer, Operation


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")


def save(name: str, *lines: str) -> None:
    Path(name).write_text("".join(f"{line}\n" for line in lines))


GOOD = (
    '{:process 0, :type :invoke, :f :append, :key "0", :value "a"}',
    '{:process 1, :type :invoke, :f :append, :key "0", :value "b"}',
    "{:process :nemesis, :type :info, :f :start}",
    '{:process 0, :type :ok, :f :append, :key "0", :value "a"}',
    '{:process 1, :type :info, :f :append, :key "0", :value "b"}',
    '{:process 0, :type :invoke, :f :get, :key "0", :value nil}',
    '{:process 0, :type :ok, :f :get, :key "0", :value "ab"}',
    '{:process 0, :type :invoke, :f :put, :key "1", :value "c"}',
    '{:process 0, :type :fail, :f :put, :key "1", :value "c"}',
)


def test_a_valid_history_prints_what_was_read(in_lines: InLines, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    save("h", *GOOD)
    assert in_lines("check", "--history", "h") == (
        0,
        [
            "format kv-edn (guessed), model kv-append: 3 operations on 1 key "
            "(left out: 1 operation that failed, 1 line that is not a client's)",
            "valid: h",
        ],
        "",
    )
    assert in_lines("check", "--history", "h", "--format", "kv-edn", "--model", "kv-append")[1][0].startswith(
        "format kv-edn, model"
    )


NO_LOG = r"h: holds no line such as INFO  jepsen.util - 3\t:invoke\t:read\tnil"
LOST = (
    "INFO  jepsen.util - 0\t:invoke\t:write\t1",
    "INFO  jepsen.util - 0\t:ok\t:write\t1",
    "INFO  jepsen.util - 1\t:invoke\t:cas\t[7 2]",
    "INFO  jepsen.util - 1\t:fail\t:cas\t[7 2]",
    "INFO  jepsen.util - 0\t:invoke\t:read\tnil",
    "INFO  jepsen.util - 0\t:ok\t:read\tnil",
)


def test_a_violation_prints_its_core(in_lines: InLines) -> None:
    save("h.log", *LOST)
    code, told, said = in_lines("check", "--history", "h.log")
    assert (code, said) == (1, "")
    assert told[0] == "format jepsen-log (guessed), model register: 3 operations on 1 key"
    assert [re.sub("={9,}", "==", line) for line in told[2:9]] == [
        "These operations have no order that real time and the model allow:",
        "",
        "process: operation        lines",
        "------------------------  -----",
        "0: write #0 of 1            1-2  |==|",
        "0: read #2 returned null    5-6                                              |==|",
        "",
    ]
    assert " ".join(told[9:11]) == (
        "read #2 returned null; write #0 of 1 had returned before read #2 was called; but null was only the "
        "initial value: contradiction"
    )
    assert told[-1] == "violated: h.log"


def test_the_document_has_the_whole_answer(in_lines: InLines) -> None:
    save("h.log", *LOST)
    code, told, said = in_lines("check", "--history", "h.log", "--json")
    document = json.loads("\n".join(told))
    assert (code, said) == (1, "")
    assert document.pop("argument")
    assert document.pop("steps") >= 0
    same = {"name": "", "process": 0, "expected": None, "result": None, "status": "ok"}
    untimed = {"called_s": None, "returned_s": None}
    write = {"number": 0, "f": "write", "value": 1} | same | untimed
    read = {"number": 2, "f": "read", "value": None} | same | untimed
    assert document == {
        "verdict": "violated",
        "history": "h.log",
        "format": "jepsen-log",
        "model": "register",
        "operations": 3,
        "keys": 1,
        "failed": 0,
        "skipped": 0,
        "torn": False,
        "log_order": "",
        "stale": 0,
        "other_keys": [],
        "key": None,
        "core": [write | {"called_line": 1, "returned_line": 2}, read | {"called_line": 5, "returned_line": 6}],
    }


def test_the_document_holds_values_of_any_size(in_lines: InLines, monkeypatch: pytest.MonkeyPatch) -> None:
    save("h.edn", f"{{:process 0, :type :invoke, :f :write, :value [:ü {'9' * 40}]}}")
    answering(monkeypatch, lambda operations: Answer("violated", 1, operations[0].key, tuple(operations)))
    document = json.loads("\n".join(in_lines("check", "--history", "h.edn", "--model", "register", "--json")[1]))
    assert (document["key"], document["core"][0]["value"]) == (":ü", int("9" * 40))


def answering(monkeypatch: pytest.MonkeyPatch, answer: Callable[[list[Operation]], Answer]) -> None:
    def answered(operations: list[Operation], model: str, order: list[int]) -> Compared:
        return Compared(answer(operations), None)

    monkeypatch.setattr(check_history, "check_with_order", answered)


def test_each_kind_of_operation_is_one_line(in_lines: InLines, monkeypatch: pytest.MonkeyPatch) -> None:
    save(
        "h.edn",
        "{:process 0, :type :invoke, :f :cas, :value [:x [1 2]]}",
        "{:process 0, :type :info, :f :cas, :value :timed-out}",
        '{:process 1, :type :invoke, :f :write, :value [:x "' + 50 * "long" + '"]}',
    )
    answering(monkeypatch, lambda operations: Answer("violated", 2, operations[0].key, tuple(operations), "Why.", 3))
    told = in_lines("check", "--history", "h.edn", "--model", "register")[1]
    assert told[2] == "These operations on key :x have no order that real time and the model allow:"
    assert [re.split(" {2,}", row)[:2] for row in told[6:8]] == [
        ["0: cas #0 from 1 to 2 (outcome unknown)", "1-"],
        ['1: write #1 of "longlonglonglonglonglo..g" (outcome unknown)', "3-"],
    ]
    assert told[8:] == ["", "Why.", "", "violated: h.edn"]


def op(kind: str, process: int, f: str, t_us: int, **more: Any) -> str:
    head = {"type": kind, "process": process, "client": "c", "op": f"c/{process}", "f": f, "key": "x", "t_us": t_us}
    return json.dumps(head | more)


def test_a_refused_operation_shows_what_it_found(in_lines: InLines, monkeypatch: pytest.MonkeyPatch) -> None:
    save(
        "h",
        op("invoke", 0, "append", 1, value="a"),
        op("fail", 0, "append", 2, value="b", index=1, term=1),
        op("invoke", 1, "get", 3),
        op("ok", 1, "get", 4, value=["a", "ü"], index=2, term=1),
    )
    answering(monkeypatch, lambda operations: Answer("violated", 2, "x", tuple(operations)))
    told = in_lines("check", "--history", "h")[1]
    assert told[2] == 'These operations on key "x" have no order that real time and the model allow:'
    assert [re.split(" {2,}", row)[:2] for row in told[6:8]] == [
        ['append c/0 of "a" was refused, finding "b"', "1-2"],
        ['read c/1 returned ["a", "ü"]', "3-4"],
    ]


def test_a_search_that_is_given_up_is_unknown(in_lines: InLines, monkeypatch: pytest.MonkeyPatch) -> None:
    save("h", *GOOD)
    answering(monkeypatch, lambda _: Answer("unknown", 3, key="0", steps=1000))
    code, told, _ = in_lines("check", "--history", "h")
    assert (code, told[-2:]) == (2, ['given up on key "0" after 1000 steps', "unknown: h"])


def test_a_history_of_failed_operations_is_unknown(in_lines: InLines) -> None:
    save("h", *GOOD[7:])
    assert in_lines("check", "--history", "h") == (
        2,
        [
            "format kv-edn (guessed), model kv-append: 0 operations on 0 keys (left out: 1 operation that failed)",
            "no operation of this history can have happened",
            "unknown: h",
        ],
        "",
    )


def test_a_checker_that_raises_is_a_failure_of_the_harness(in_lines: InLines, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(operations: list[Operation]) -> NoReturn:
        raise RuntimeError("broken")

    save("h", *GOOD)
    answering(monkeypatch, broken)
    code, told, said = in_lines("check", "--history", "h")
    assert (code, told) == (255, [])
    assert said == "raft-chaos itself failed; this says nothing about the system under test: RuntimeError: broken\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "expected a run directory, or --history FILE"),
        (["run", "--history", "h"], "--history: expected either a run or a history, got run and h"),
        (["run", "--model", "kv"], "--model: only with --history; a run has its own"),
        (["run", "--format", "edn"], "--format: only with --history; a run has its own"),
        (["--history", "none"], "none: cannot be read (No such file or directory)"),
        (
            ["--history", "h", "--format", "edn"],
            "h: the format edn needs a model; expected --model register or list-append",
        ),
        (
            ["--history", "h", "--model", "kv"],
            "h: the format kv-edn does not fit the model kv: its appends add to a string; expected --model kv-append",
        ),
        (
            ["--history", "h", "--format", "jsonl"],
            "h:1: JSON is malformed: object keys must be strings (byte 1); expected a line of history.jsonl",
        ),
        (["--history", "h", "--format", "jepsen-log"], NO_LOG),
        (
            ["--history", "h", "--format", "edn", "--model", "list-append"],
            'h:1: the :value of :append: expected [[:append key value]] or [[:r key nil]], got "a"',
        ),
        (
            ["--history", "h", "--model", "queue"],
            "--model: expected one of register, kv, kv-append, list-append, got 'queue'",
        ),
    ],
)
def test_a_bad_argument_or_file_is_an_error(arguments: list[str], said: str, in_lines: InLines) -> None:
    save("h", *GOOD)
    assert in_lines("check", *arguments) == (254, [], f"raft-chaos: {said}\n")


def test_the_history_of_a_run_is_judged_whole_and_torn(in_lines: InLines, tmp_path: Path) -> None:
    run = recorded_run(short(*TWO_LEADERS), tmp_path)
    raw = run.history.read_bytes()
    operations = sum(op.type == "invoke" for op in run.operations())
    failed = sum(op.type == "fail" for op in run.operations())
    assert operations > 30
    code, told, _ = in_lines("check", "--history", str(run.history), "--json")
    document = json.loads("\n".join(told))
    assert (code, document["verdict"], document["format"], document["model"]) == (0, "valid", "jsonl", "kv")
    assert (document["operations"] + document["failed"], document["failed"]) == (operations, failed)
    assert (document["keys"], document["torn"]) == (3, False)
    run.history.write_bytes(raw[:-5])
    code, told, _ = in_lines("check", "--history", str(run.history))
    assert (code, told[0].rpartition("(")[2]) == (0, "left out: the last line, which is torn)")


def test_a_lost_write_in_the_history_of_a_run_is_found(in_lines: InLines, tmp_path: Path) -> None:
    run = recorded_run(short(*TWO_LEADERS), tmp_path)
    lines = run.history.read_text().splitlines()
    reads = [place for place, line in enumerate(lines) if '"type":"ok"' in line and '"f":"get"' in line]
    lost = next(place for place in reversed(reads) if '"value":"' in lines[place])
    told_before = json.loads(lines[lost])
    save("h.jsonl", *lines[:lost], json.dumps(told_before | {"value": None}), *lines[lost + 1 :])
    code, told, _ = in_lines("check", "--history", "h.jsonl", "--json")
    document = json.loads("\n".join(told))
    assert (code, document["verdict"], document["key"]) == (1, "violated", told_before["key"])
    assert lost + 1 in [each["returned_line"] for each in document["core"]]


def test_a_violation_is_drawn_and_an_unwritable_picture_is_an_error(in_lines: InLines) -> None:
    save("h.log", *LOST)
    assert in_lines("check", "--history", "h.log", "--picture", "p.svg")[0] == 1
    assert Path("p.svg").read_text().startswith("<svg") and "read #2 returned null" in Path("p.svg").read_text()
    assert in_lines("check", "--history", "h.log", "--picture", "p.html")[1][-2] == "picture: p.html"
    assert "p.svg" not in Path("p.html").read_text() and "<svg" in Path("p.html").read_text()
    code, told, said = in_lines("check", "--history", "h.log", "--picture", "no/such/place.svg")
    assert (code, told[-1]) == (254, "violated: h.log"), "the verdict is not lost"
    assert said == "raft-chaos: --picture: no/such/place.svg cannot be written (No such file or directory)\n"
    assert in_lines("check", "--history", "h.log", "--picture", "p.png")[0] == 254
    save("good", *GOOD)
    assert (
        in_lines("check", "--history", "good", "--picture", "q.svg")[1][-2] == "no violation, so q.svg is not written"
    )
    assert not Path("q.svg").exists()


def test_a_log_order_that_disagrees_is_a_remark(in_lines: InLines) -> None:
    save(
        "h",
        op("invoke", 0, "put", 1, value="a"),
        op("ok", 0, "put", 2, index=5, term=1),
        op("invoke", 1, "put", 3, value="b"),
        op("ok", 1, "put", 4, index=3, term=1),
    )
    code, told, _ = in_lines("check", "--history", "h")
    assert (code, told[-1]) == (0, "valid: h")
    assert " ".join(told[1:-1]) == (
        'log order disagrees with the client history: write c/1 of "b", on "x", was called after write c/0 of "a", on '
        '"x", had returned, but comes before it in the order'
    )
    assert json.loads("\n".join(in_lines("check", "--history", "h", "--json")[1]))["log_order"]


def test_the_picture_of_a_run_shows_its_faults_and_leaders(in_lines: InLines, tmp_path: Path) -> None:
    run = recorded_run(short(*TWO_LEADERS), tmp_path)
    lines = run.history.read_text().splitlines()
    lost = next(n for n, line in enumerate(lines) if '"ok"' in line and '"get"' in line and '"value"' in line)
    lines[lost] = re.sub(r'"value":("[^"]*"|\[[^]]*\])', '"value":"never written"', lines[lost])
    run.history.write_text("\n".join(lines) + "\n")
    assert in_lines("check", "--history", str(run.history), "--picture", "p.svg")[0] == 1
    assert "leads in term" in Path("p.svg").read_text()


def test_a_read_of_a_failed_write_is_an_aborted_read(in_lines: InLines) -> None:
    save("h", op("invoke", 0, "put", 1, value="a"), op("fail", 0, "put", 2), op("invoke", 1, "get", 3))
    with Path("h").open("a") as more:
        more.write(op("ok", 1, "get", 4, value="a"))
    code, told, _ = in_lines("check", "--history", "h")
    assert code == 1
    assert " ".join(told[8:10]) == (
        'read c/1 returned "a", but nothing ever wrote "a": contradiction; '
        'an aborted read: the write of "a" in lines 1 and 2 had failed'
    )


def test_a_key_cannot_move_the_cursor(in_lines: InLines) -> None:
    key = "k\u009b31m\u202e\x7f"
    save(
        "h",
        *(
            json.dumps(json.loads(row) | {"key": key})
            for row in (op("invoke", 0, "get", 1), op("ok", 0, "get", 2, value="a"))
        ),
    )
    code, told, _ = in_lines("check", "--history", "h")
    assert code == 1 and all(line.isprintable() for line in told)


def test_other_keys_that_are_violated_are_named(in_lines: InLines) -> None:
    rows = []
    for number, key in enumerate(["x", "y", "z"]):
        rows += [op("invoke", number, "get", 10 * number), op("ok", number, "get", 10 * number + 1, value="a")]
        rows[-2:] = [json.dumps(json.loads(row) | {"key": key}) for row in rows[-2:]]
    save("h", *rows)
    told = in_lines("check", "--history", "h")[1]
    assert told[-3:] == ['also violated, found without a search: "y", "z"', "", "violated: h"]
    assert json.loads("\n".join(in_lines("check", "--history", "h", "--json")[1]))["other_keys"] == ["y", "z"]


def test_an_aborted_read_names_only_its_own_failed_write(in_lines: InLines) -> None:
    rows = [op("invoke", 0, "append", 1, value="a"), op("fail", 0, "append", 2)]
    for number, value in enumerate(["a", "b"], 1):
        rows += [op("invoke", number, "append", 3 * number, value=value), op("ok", number, "append", 3 * number + 1)]
    rows += [op("invoke", 5, "get", 20), op("ok", 5, "get", 21, value=["a", "b", "b"])]
    save("h", *rows)
    assert not any("aborted" in line for line in in_lines("check", "--history", "h")[1])
    later = [op("invoke", 0, "get", 1), op("ok", 0, "get", 2, value="x")]
    save("h", *later, op("invoke", 1, "put", 3, value="x"), op("fail", 1, "put", 4))
    assert not any("aborted" in line for line in in_lines("check", "--history", "h")[1])
