"""Reading histories: the operations of each format, and the error for each mistake in a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from history_lines import jepsen, line, logged, mistake, read, store
from raft_chaos.invariants.linearizability.operations import NOT_REPORTED, Operation
from raft_chaos.invariants.linearizability.readers.edn import keyword
from raft_chaos.invariants.linearizability.readers.formats import READERS, Format, contents, guess, model_for
from raft_chaos.invariants.linearizability.readers.history_file import Failure, HistoryError, Place, ReadHistory

# ---- by hand: jsonl ----------------------------------------------------------------------------------------------


def test_a_run_s_history_is_read_with_what_refused_operations_found() -> None:
    history = read(
        "jsonl",
        line("invoke", 0, "put", 10, value="a")
        + line("invoke", 1, "cas", 10, value="b", expected="c")
        + line("ok", 0, "put", 10, index=4, term=1)
        + line("fail", 1, "cas", 20, value="a", expected="c", index=5, term=1)
        + line("invoke", 2, "append", 30, value="t")
        + line("fail", 2, "append", 30, value="a", index=6, term=1)
        + line("invoke", 0, "get", 30, op="c0/2")
        + line("invoke", 1, "delete", 31, op="c1/2")
        + line("ok", 0, "get", 32, value=["t", "u"], index=7, term=1, op="c0/2")
        + line("info", 1, "delete", 33, error="no answer in time", op="c1/2")
        + line("invoke", 2, "get", 34, op="c2/2"),
    )
    reported = [
        Operation(0, "x", "write", 1, 1, value="a", process=0),
        Operation(1, "x", "cas", 1, 2, value="b", expected="c", result="a", status="refused", process=1),
        Operation(2, "x", "append", 3, 3, value="t", result="a", status="refused", process=2),
        Operation(3, "x", "read", 3, 5, result=("t", "u"), process=0),
        Operation(4, "x", "delete", 4, None, status="unknown", process=1),
        Operation(5, "x", "read", 6, None, status="unknown", process=2),
    ]
    labels = ["c0/1", "c1/1", "c2/1", "c0/2", "c1/2", "c2/2"]
    assert history.operations == [
        msgspec.structs.replace(each, label=label) for each, label in zip(reported, labels, strict=True)
    ]
    assert history.places[:2] == [Place(1, 3, 10, 10), Place(2, 4, 10, 20)]
    assert history.places[4:] == [Place(8, None, 31, None), Place(11, None, 34, None)]
    assert (history.ticks, history.log_order) == (1_000_000, [0, 1, 2, 3])


def test_a_label_that_several_operations_share_is_dropped() -> None:
    history = read("jsonl", line("invoke", 0, "get", 1) + line("ok", 0, "get", 2) + line("invoke", 0, "get", 3))
    assert [each.label for each in history.operations] == ["", ""]


def test_of_answers_that_name_the_same_entry_writes_come_first() -> None:
    history = read(
        "jsonl",
        line("invoke", 0, "get", 10)
        + line("invoke", 1, "put", 11, value="a")
        + line("ok", 1, "put", 12, index=4, term=1)
        + line("invoke", 2, "put", 13, value="b")
        + line("ok", 0, "get", 14, value="a", index=4, term=1),
    )
    assert history.log_order == [1, 0]


@pytest.mark.parametrize(
    ("f", "call", "failed"),
    [
        ("cas", {"value": "b", "expected": "a"}, {"error": "no node took it"}),
        ("cas", {"value": "b"}, {"index": 3, "term": 1, "error": "serial 1 is older than this client's latest, 2"}),
        ("append", {"value": "b"}, {"index": 3, "term": 1}),
        ("put", {"value": "b"}, {"index": 3, "term": 1}),
        ("get", {}, {"error": "no node took it"}),
    ],
)
def test_a_failure_that_says_nothing_about_the_state_is_left_out(
    f: str, call: dict[str, str], failed: dict[str, Any]
) -> None:
    history = read("jsonl", line("invoke", 0, f, 1, **call) + line("fail", 0, f, 2, **failed))
    assert (history.operations, history.failed) == ([], 1)


def test_a_cas_may_expect_and_find_an_absent_key() -> None:
    history = read(
        "jsonl",
        line("invoke", 0, "cas", 1, value="b")
        + line("ok", 0, "cas", 2, index=3, term=1)
        + line("invoke", 1, "cas", 3, value="b", expected="a")
        + line("fail", 1, "cas", 4, index=4, term=1),
    )
    assert [(each.expected, each.status, each.result) for each in history.operations] == [
        (None, "ok", None),
        ("a", "refused", None),
    ]


CALL = line("invoke", 0, "put", 1, value="ä")
END = line("ok", 0, "put", 2)


def test_a_last_line_that_a_kill_tore_is_left_out() -> None:
    open_write = Operation(0, "x", "write", 1, None, "ä", status="unknown", process=0, label="c0/1")
    for kept in range(1, len(END) - 1):
        history = read("jsonl", CALL + END[:kept])
        assert (history.operations, history.torn) == ([open_write], True)
    within_a_character = (CALL + '{"type":"ö').encode()[:-1]
    history = READERS["jsonl"].read("h", within_a_character, "kv")
    assert (history.operations, history.torn) == ([open_write], True)


def test_a_complete_last_line_without_a_newline_counts() -> None:
    assert read("jsonl", CALL + END.rstrip("\n")) == read("jsonl", CALL + END)
    assert [each.status for each in read("jsonl", "\ufeff" + CALL + END).operations] == ["ok"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "h: holds no operation of a client"),
        (
            CALL + CALL + "{\n",
            "h:2: process 0 calls write, but its write of line 1 has not ended; "
            "expected at most one open operation a process",
        ),
        (CALL + "{\n" + END, "h:2: Input data was truncated; expected a line of history.jsonl"),
        (CALL + END[:20] + "\n", "h:2: Input data was truncated; expected a line of history.jsonl"),
        (CALL + '{"type":"ok"}', "h:2: Object missing required field `process`; expected a line of history.jsonl"),
        (
            CALL.replace("put", "incr"),
            "h:1: Invalid enum value 'incr' - at `$.f`; expected get, put, append, cas or delete",
        ),
        (END, "h:1: process 0 ends a write (ok) without an open one; expected an invocation"),
        (CALL + END + END, "h:3: process 0 ends a write (ok) without an open one; expected an invocation"),
        (
            CALL + line("invoke", 0, "get", 1),
            "h:2: process 0 calls read, but its write of line 1 has not ended; "
            "expected at most one open operation a process",
        ),
        (
            CALL + line("ok", 0, "put", 2, value="b"),
            'h:2: has the value "b"; expected "ä" as in the write of "x" in line 1',
        ),
        (CALL + line("ok", 0, "get", 2), 'h:2: ends a read, but process 0 called a write of "x" in line 1'),
        (
            CALL + line("ok", 0, "put", 2, key="y"),
            'h:2: has the key "y"; expected "x" as in the write of "x" in line 1',
        ),
        (
            CALL + line("ok", 0, "put", 2, op="c0/2"),
            'h:2: has the op "c0/2"; expected "c0/1" as in the write of "x" in line 1',
        ),
        (CALL + line("ok", 0, "put", 0), "h:2: time goes back from 1 to 0 us; expected lines in order of time"),
        (line("invoke", 0, "put", 1), "h:1: the value of a put: expected a string, got null"),
        (line("invoke", 0, "append", 1, value=["a"]), 'h:1: the value of a append: expected a string, got ["a"]'),
        (line("invoke", 0, "get", 1, value="a"), 'h:1: a get takes no value, got "a"'),
        (
            line("invoke", 0, "cas", 1, value="a", expected=["b"]),
            'h:1: `expected` of a cas: expected a string, or null for an absent key, got ["b"]',
        ),
        (
            line("invoke", 0, "put", 1, value="a", expected="b"),
            'h:1: `expected` of a put: expected none, which only a cas has, got "b"',
        ),
    ],
)
def test_an_error_in_jsonl_names_its_line(text: str, said: str) -> None:
    assert mistake("jsonl", text) == said


# ---- by hand: jepsen-log -----------------------------------------------------------------------------------------


def test_a_log_of_jepsen_is_read() -> None:
    text = (
        "INFO  jepsen.core - Running 5 processes\n"
        + logged("0 :invoke :read\tnil", "1 :invoke :write\t3", ":nemesis :info :start\tnil", "0 :ok :read\tnil")
        + logged("0 :invoke :cas\t[3 -4]", "0 :fail :cas\t[3 -4]", "1 :info :write :timed-out", "6 :invoke :read\tnil")
        + logged("6 :fail :read :timed-out", "6 :invoke :cas\t[1 2]", "6 :fail :cas :timed-out")
        + logged(
            "0 :invoke :cas\t[3 nil]", "0 :fail :cas\t[3 nil] :timed-out", "7 :invoke :read\tnil", "7 :ok :read\t3"
        )
        + "INFO [2021-06-01 12:00:00,123] jepsen worker 0 - jepsen.util 0\t:invoke\t:cas\t[3 4]\n"
    )
    history = read("jepsen-log", text)
    assert history.operations == [
        Operation(0, None, "read", 1, 3, process=0),
        Operation(1, None, "write", 2, None, value=3, status="unknown", process=1),
        Operation(2, None, "cas", 4, 5, value=-4, expected=3, result=NOT_REPORTED, status="refused", process=0),
        Operation(3, None, "read", 12, 13, result=3, process=7),
        Operation(4, None, "cas", 14, None, value=4, expected=3, status="unknown", process=0),
    ]
    lines = [(place.called_line, place.returned_line) for place in history.places]
    assert lines == [(2, 5), (3, None), (6, 7), (15, 16), (17, None)]
    assert (history.ticks, history.failed, history.skipped) == (0, 3, 2)


WRITE = logged("1 :invoke :write\t12")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("INFO jepsen.core - nothing\n", r"h: holds no line such as INFO  jepsen.util - 3\t:invoke\t:read\tnil"),
        (logged("3"), 'h:1: expected a type, a function and a value, got ""'),
        (logged("3 :invoke :read"), 'h:1: expected a type, a function and a value, got ":invoke\\t:read"'),
        (WRITE.rstrip("\n"), "h:1: the file ends within this line; expected it to end with a newline"),
        (WRITE + WRITE[:-3], "h:2: the file ends within this line; expected it to end with a newline"),
        (logged("3 :begin :read\tnil"), "h:1: unknown type :begin; expected :invoke, :ok, :fail or :info"),
        (logged("3 :invoke :add\t1"), "h:1: unknown function :add; a register has :read, :write and :cas"),
        (logged("3 :invoke :read\t1"), "h:1: the value of a :read that is invoked: expected nil, got 1"),
        (logged("3 :invoke :write\t1.5"), "h:1: expected nil or a number of at most 18 digits, got 1.5"),
        (
            logged("3 :invoke :write\t" + "1" * 19),
            f"h:1: expected nil or a number of at most 18 digits, got {'1' * 19}",
        ),
        (logged("3 :invoke :cas\t1"), "h:1: the value of a :cas: expected [expected new], such as [1 2], got 1"),
        (
            logged("3 :invoke :cas\t[1 2 3]"),
            "h:1: the value of a :cas: expected [expected new], such as [1 2], got [1 2 3]",
        ),
        (logged("3 :invoke :cas\t[1 x]"), "h:1: expected nil or a number of at most 18 digits, got x"),
        (logged("3 :ok :read\tnil"), "h:1: process 3 ends a read (ok) without an open one; expected an invocation"),
        (
            WRITE + logged("1 :ok :write\t1"),
            "h:2: has the value 1; expected 12 as in the write in line 1",
        ),
        (
            logged("1 :invoke :cas\t[1 2]", "1 :fail :cas\t[3 2]"),
            "h:2: has the expected value 3; expected 1 as in the cas in line 1",
        ),
        (WRITE + logged("1 :ok :read\t1"), "h:2: ends a read, but process 1 called a write in line 1"),
        (
            WRITE + WRITE,
            "h:2: process 1 calls write, but its write of line 1 has not ended; "
            "expected at most one open operation a process",
        ),
    ],
)
def test_an_error_in_a_log_names_its_line(text: str, said: str) -> None:
    assert mistake("jepsen-log", text) == said


def test_invalid_utf_8_is_an_error_with_its_line() -> None:
    with pytest.raises(HistoryError, match=r"^h:2: expected UTF-8, got the byte 0xff$"):
        READERS["jepsen-log"].read("h", b"a line\nanother \xff\n", "register")


def test_a_log_of_a_later_jepsen_is_read() -> None:
    head = "2021-02-26 11:42:48,806{GMT}\tINFO\t[jepsen worker 1] jepsen.util:"
    text = f"{head} 1\t:invoke\t:write\t3\n{head} 1\t:ok\t:write\t3\n"
    assert guess(Path("h"), text.encode()) == "jepsen-log"
    assert read("jepsen-log", text).operations == [Operation(0, None, "write", 1, 2, value=3, process=1)]
    assert mistake("jepsen-log", f"{head} 1\t:invoke\t:write\t[0 3]\n").endswith(
        "(registers with keys: from history.edn)"
    )


# ---- by hand: kv-edn ---------------------------------------------------------------------------------------------


def test_a_store_of_strings_in_edn_is_read() -> None:
    text = (
        store(1, "invoke", "append", '"a\\nb"')
        + store(2, "invoke", "get", "nil")
        + ";; a word between\n\n"
        + store(1, "ok", "append", '"a\\nb"')
        + store(2, "ok", "get", '""')
        + store(1, "invoke", "put", '"c"', key='"1"')
        + store(2, "invoke", "get")
        + store(1, "info", "put", ":timed-out", key='"1"')
        + store(2, "fail", "get")
        + store(3, "invoke", "put", '"d"')
        + store(3, "ok", "put")
    )
    history = read("kv-edn", text)
    assert history.operations == [
        Operation(0, "0", "append", 1, 3, value="a\nb", process=1),
        Operation(1, "0", "read", 2, 4, result="", process=2),
        Operation(2, "1", "write", 5, None, value="c", status="unknown", process=1),
        Operation(3, "0", "write", 8, 9, value="d", process=3),
    ]
    lines = [(place.called_line, place.returned_line) for place in history.places]
    assert (lines, history.failed) == ([(1, 5), (2, 6), (7, None), (11, 12)], 1)


APPEND = store(1, "invoke", "append", '"a"')


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "h: holds no operation of a client"),
        (store(1, "invoke", "cas", '"a"'), "h:1: unknown function :cas; this store has :get, :put and :append"),
        (store(1, "invoke", "put", "1"), "h:1: the :value of a :put: expected a string, got 1"),
        (store(1, "invoke", "get", key="nil"), "h:1: the :key: expected a string or a number, got nil"),
        (
            store(1, "invoke", "get") + store(1, "ok", "get", "nil"),
            'h:2: the :value of a :get: expected a string (initially ""), got nil',
        ),
        (
            APPEND + store(1, "ok", "append", '"b"'),
            'h:2: has the :value "b"; expected "a" as in the append of "0" in line 1',
        ),
        (
            APPEND + store(1, "ok", "append", '"a"', key='"1"'),
            'h:2: has the :key "1"; expected "0" as in the append of "0" in line 1',
        ),
        (
            APPEND + store(1, "ok", "append", '"a"')[:-3],
            "h:2: a string that does not end on its line; the file may have been cut",
        ),
        (APPEND + store(1, "ok", "append")[:-2], "h:2: the { in this line is never closed; the file may have been cut"),
        (APPEND + "[]\n", "h:2: expected a map such as {:process 0, ...}, got []"),
    ],
)
def test_an_error_in_a_history_of_strings_names_its_line(text: str, said: str) -> None:
    assert mistake("kv-edn", text) == said


# ---- by hand: edn ------------------------------------------------------------------------------------------------


def test_a_register_of_jepsen_is_read() -> None:
    text = (
        jepsen(0, "invoke", "write", "3", ", :time 5, :index 0")
        + "#jepsen.history.Op"
        + jepsen(":nemesis", "info", "start", '{"n1" #{"n2" "n3"}}', ", :time 6, :index 1")
        + "#jepsen.history.Op"
        + jepsen(0, "ok", "write", "3", ', :time 4, :index 2 :error #object[a.B 0x1f "b"]')  # the index is the order
        + jepsen(1, "invoke", "cas", "[3 :a]")
        + jepsen(0, "invoke", "read")
        + jepsen(1, "fail", "cas", "[3 :a]")
        + jepsen(0, "ok", "read", "3")
        + jepsen(0, "invoke", "cas", "[nil, -4]")
        + jepsen(0, "info", "cas", ":timed-out")
    )
    expected = ReadHistory(
        [
            Operation(0, None, "write", 1, 2, value=3, process=0),
            Operation(1, None, "read", 4, 6, result=3, process=0),
            Operation(2, None, "cas", 7, None, value=-4, status="unknown", process=0),
        ],
        [Place(1, 3, 5, 4), Place(5, 7, None, None), Place(8, None, None, None)],
        ticks=1_000_000_000,
        failures=[Failure(None, "cas", keyword("a"), Place(4, 6, None, None))],
        skipped=1,
    )
    assert read("edn", text, "register") == expected
    assert read("edn", f"[{text}]", "register") == expected
    one_line = read("edn", f"({text.replace(chr(10), ' ')})", "register")
    assert one_line.operations == expected.operations
    assert {(place.called_line, place.returned_line) for place in one_line.places} == {(1, 1), (1, None)}


def test_the_first_operation_shows_whether_registers_have_keys() -> None:
    text = (
        jepsen(0, "invoke", "cas", '["x" [1 2]]')
        + jepsen(1, "invoke", "read", "[7 nil]")
        + jepsen(0, "ok", "cas", '["x" [1 2]]')
        + jepsen(1, "ok", "read", "[7 nil]")
        + jepsen(1, "invoke", "write", "[:k nil]")
    )
    assert read("edn", text, "register").operations == [
        Operation(0, "x", "cas", 1, 3, value=2, expected=1, process=0),
        Operation(1, 7, "read", 2, 4, process=1),
        Operation(2, keyword("k"), "write", 5, None, status="unknown", process=1),
    ]


def test_lists_of_jepsen_are_read() -> None:
    text = (
        jepsen(0, "invoke", "txn", "[[:append :x 1]]")
        + jepsen(1, "invoke", "r", "[[:r :x nil]]")
        + jepsen(0, "ok", "txn", "[[:append :x 1]]")
        + jepsen(1, "ok", "r", "[[:r :x [1 2]]]")
        + jepsen(1, "invoke", "read", "[[:r 5 nil]]")
        + jepsen(0, "invoke", "append", '[[:append 5 "a"]]')
        + jepsen(1, "ok", "read", "[[:r 5 nil]]")
        + jepsen(0, "info", "append", "[:no [:matter]]")
    )
    assert read("edn", text, "list-append").operations == [
        Operation(0, keyword("x"), "append", 1, 3, value=1, process=0),
        Operation(1, keyword("x"), "read", 2, 4, result=(1, 2), process=1),
        Operation(2, 5, "read", 5, 7, result=(), process=1),
        Operation(3, 5, "append", 6, None, value="a", status="unknown", process=0),
    ]


STARTED = jepsen(0, "invoke", "write", "3")
KEYED = jepsen(0, "invoke", "write", "[1 3]")
ALLOWED = "the :value of :{}: expected nil, an integer, a string or a keyword, got {}"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "h: holds no operation of a client"),
        (jepsen(":nemesis", "info", "start"), "h: holds no operation of a client"),
        (
            '#{1 "ä"} [#t :k true] {a {}}\n',
            'h:1: expected a map such as {:process 0, ...}, got #{1 "ä"}',
        ),
        (
            '[[#t :k true {a {"b" #{1.5 nil}}}]]\n',
            'h:1: expected a map such as {:process 0, ...}, got [#t :k true {a {"b" #{1.5 nil}}}]',
        ),
        ("12\n", "h:1: expected a map such as {:process 0, ...}, got 12"),
        ("{:type :ok}\n", "h:1: a map without :process: {:type :ok}"),
        ("{:process 0, :f :read}\n", "h:1: the :type: expected :invoke, :ok, :fail or :info, got nil"),
        ("{:process 0, :type :invoke}\n", "h:1: the :f: expected a function such as :read, got nil"),
        (jepsen(0, "begin", "read"), "h:1: the :type: expected :invoke, :ok, :fail or :info, got :begin"),
        (jepsen(0, "invoke", "txn"), "h:1: unknown function :txn; the model register has :read, :write and :cas"),
        (jepsen(0, "invoke", "write", "1.0"), f"h:1: {ALLOWED.format('write', '1.0')}"),
        (jepsen(0, "invoke", "write", "true"), f"h:1: {ALLOWED.format('write', 'true')}"),
        ("{:process 0, :type :invoke, :f :write}\n", f"h:1: {ALLOWED.format('write', 'none')}"),
        (jepsen(0, "invoke", "cas", "1"), "h:1: the :value of :cas: expected [expected new] for a :cas, got 1"),
        (jepsen(0, "invoke", "read") + jepsen(0, "ok", "read", "[1]"), f"h:2: {ALLOWED.format('read', '[1]')}"),
        (
            KEYED + jepsen(1, "invoke", "read"),
            "h:2: the :value of :read: expected [key value], as in the first operation, got nil",
        ),
        (STARTED + jepsen(1, "invoke", "write", "[1 3]"), f"h:2: {ALLOWED.format('write', '[1 3]')}"),
        (KEYED + jepsen(0, "ok", "write", "[2 3]"), "h:2: has the key 2; expected 1 as in the write of 1 in line 1"),
        (STARTED + jepsen(0, "ok", "write", "4"), "h:2: has the value 4; expected 3 as in the write in line 1"),
        (STARTED + jepsen(0, "ok", "read", "4"), "h:2: ends a read, but process 0 called a write in line 1"),
        (
            jepsen(0, "fail", "write", "3"),
            "h:1: process 0 ends a write (fail) without an open one; expected an invocation",
        ),
        (
            STARTED + STARTED,
            "h:2: process 0 calls write, but its write of line 1 has not ended; "
            "expected at most one open operation a process",
        ),
        (
            jepsen(0, "invoke", "read", more=" :time 10000007") + jepsen(":nemesis", "info", "stop", more=" :time 6"),
            "h:2: time goes back from 10000007 to 6 ns (:time); expected lines in order of time",
        ),
        (
            jepsen(0, "invoke", "read", more=" :index 7") + jepsen(0, "ok", "read", more=" :index 7"),
            "h:2: :index 7 comes after 7; expected lines in their order",
        ),
        (jepsen(0, "invoke", "read", more=' :index "7"'), 'h:1: the :index: expected an integer, got "7"'),
        (jepsen(0, "invoke", "read", more=" :time 7.5"), "h:1: the :time: expected an integer, got 7.5"),
        ("[" + STARTED, "h:1: the [ in this line is never closed; the file may have been cut"),
        (
            STARTED + jepsen(0, "ok", "write", "3")[:-2],
            "h:2: the { in this line is never closed; the file may have been cut",
        ),
    ],
)
def test_an_error_in_a_history_of_registers_names_its_line(text: str, said: str) -> None:
    assert mistake("edn", text, "register") == said


PART = "the :value of :{}: expected [[:append key value]] or [[:r key nil]]{}, got {}"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (jepsen(0, "invoke", "write", "1"), "unknown function :write; the model list-append has :txn, :append and :r"),
        (jepsen(0, "invoke", "txn", "[:r 1 nil]"), PART.format("txn", "", "[:r 1 nil]")),
        (jepsen(0, "invoke", "txn", "[[:append 1]]"), PART.format("txn", "", "[[:append 1]]")),
        (
            jepsen(0, "invoke", "txn", "[[:r 1 nil] [:r 2 nil]]"),
            "the :value of :txn: expected a transaction of one part (this checker cannot judge several), "
            "got [[:r 1 nil] [:r 2 nil]]",
        ),
        (
            jepsen(0, "invoke", "append", "[[:r 1 nil]]"),
            PART.format("append", ", of integers, strings or keywords", "[[:r 1 nil]]"),
        ),
        (
            jepsen(0, "invoke", "txn", "[[:append 1 nil]]"),
            PART.format("txn", ", of integers, strings or keywords", "[[:append 1 nil]]"),
        ),
        (
            jepsen(0, "invoke", "txn", "[[:w 1 1]]"),
            PART.format("txn", ", of integers, strings or keywords", "[[:w 1 1]]"),
        ),
    ],
)
def test_an_error_in_a_history_of_lists_names_its_line(text: str, said: str) -> None:
    assert mistake("edn", jepsen(9, "invoke", "r", "[[:r 1 nil]]") + text, "list-append") == f"h:2: {said}"


@pytest.mark.parametrize(
    ("ends", "said"),
    [
        (
            "[[:r 1 2]]",
            "the :value of :txn: expected [[:r key [...]]] with integers, strings or keywords, got [[:r 1 2]]",
        ),
        ("[[:r 2 [2]]]", "has the key 2; expected 1 as in the read of 1 in line 1"),
        ("[[:append 1 2]]", "ends a append, but process 0 called a read of 1 in line 1"),
    ],
)
def test_a_wrong_completion_of_a_read_names_its_line(ends: str, said: str) -> None:
    text = jepsen(0, "invoke", "txn", "[[:r 1 nil]]") + jepsen(0, "ok", "txn", ends)
    assert mistake("edn", text, "list-append") == f"h:2: {said}"


def test_a_history_that_knossos_completed_is_read() -> None:
    text = jepsen(0, "invoke", "read", "4") + jepsen(0, "ok", "read", "3")
    assert read("edn", text, "register").operations == [Operation(0, None, "read", 1, 2, result=3, process=0)]
    text = store(1, "invoke", "get", '"a"') + store(1, "ok", "get", '"b"')
    assert read("kv-edn", text).operations == [Operation(0, "0", "read", 1, 2, result="b", process=1)]


def test_transactions_on_lists_may_lack_optional_parts() -> None:
    text = (
        "{:process 0, :type :invoke, :value [[:r 1]]}\n{:process 0, :type :ok, :value [[:r 1 [2]]]}\n"
        "{:process 1, :type :invoke, :f :txn, :value [[:r 1 [2]]]}\n{:process 1, :type :info, :value [[:r 1 nil]]}\n"
    )
    assert read("edn", text, "list-append").operations == [
        Operation(0, 1, "read", 1, 2, result=(2,), process=0),
        Operation(1, 1, "read", 3, None, status="unknown", process=1),
    ]


# ---- the format --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text", "form"),
    [
        ("h", CALL, "jsonl"),
        ("h.edn", "\n" + CALL, "jsonl"),
        ("h", "\ufeff" + CALL, "jsonl"),
        ("h", WRITE, "jepsen-log"),
        ("h.edn", "{not yet\n" * 9000 + WRITE, "jepsen-log"),
        ("h", APPEND, "kv-edn"),
        ("h", "; a comment\n[" + APPEND, "kv-edn"),
        ("h.jsonl", STARTED, "edn"),
        ("h", "[" + jepsen(":nemesis", "info", "start", more=" :key 1") + STARTED + "{", "edn"),
        ("h", "#jepsen.history.Op" + STARTED, "edn"),
        ("h", jepsen(0, "info", "read", "[jepsen.util 3 :x :ok :y]"), "edn"),
        ("h", "{:process 0, :type", "edn"),
        ("h.jsonl", "", "jsonl"),
        ("h.log", "nothing", "jepsen-log"),
        ("h.edn", "", "edn"),
    ],
)
def test_a_format_is_guessed_by_content_and_then_by_name(name: str, text: str, form: Format) -> None:
    assert guess(Path(name), text.encode()) == form


def test_a_file_of_no_known_format_is_refused() -> None:
    with pytest.raises(HistoryError) as caught:
        guess(Path("h.txt"), b"anything")
    assert str(caught.value) == (
        "h.txt: cannot tell its format; expected --format with one of jsonl, jepsen-log, kv-edn, edn"
    )


def test_a_file_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(HistoryError, match=r"none: cannot be read \(No such file or directory\)$"):
        contents(tmp_path / "none")
    with pytest.raises(HistoryError, match=r"cannot be read \(Is a directory\)$"):
        contents(tmp_path)


def test_a_model_that_does_not_fit_is_refused_with_the_reason() -> None:
    fitting = {(form, model) for form, reader in READERS.items() for model in reader.models}
    assert {model_for(Path("h"), form, model) for form, model in fitting} == {model for _, model in fitting}
    assert model_for(Path("h"), "jsonl", None) == "kv"
    for form, model, said in (
        ("edn", None, "needs a model; expected --model register or list-append"),
        ("kv-edn", "kv", "does not fit the model kv: its appends add to a string; expected --model kv-append"),
    ):
        with pytest.raises(HistoryError) as caught:
            model_for(Path("h"), form, model)  # type: ignore[arg-type]
        assert str(caught.value) == f"h: the format {form} {said}"


def test_stale_reads_of_a_run_are_left_out_of_its_history_and_counted() -> None:
    history = read(
        "jsonl",
        line("invoke", 0, "put", 1, value="a")
        + line("invoke", 1, "get", 2, consistency="stale")
        + line("ok", 0, "put", 3, index=2, term=1)
        + line("ok", 1, "get", 4, consistency="stale", node="n2", inc=1, index=1, term=1)
        + line("invoke", 1, "get", 5, consistency="read_index")
        + line("ok", 1, "get", 6, consistency="read_index", node="n1", inc=1, index=2, term=1, value="a"),
    )
    assert [operation.f for operation in history.operations] == ["write", "read"]
    assert (history.log_order, history.stale, history.skipped) == ([0, 1], 1, 0)
