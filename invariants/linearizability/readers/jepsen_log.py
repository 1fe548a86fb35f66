"""`jepsen-log`: the operations in a log of Jepsen, on one register that is initially nil, for the model register.

    INFO  jepsen.util - 3<TAB>:invoke<TAB>:cas<TAB>[1 2]
    INFO  jepsen.util - 3<TAB>:fail<TAB>:cas<TAB>[1 2]

(later versions write `... jepsen.util: 3<TAB>...` after a date and a level).
Types are :invoke, :ok, :fail, :info; functions are :read, :write, :cas. A failed cas that repeats its values found
another value than it expected. A failed cas that gives a reason instead, such as :timed-out, certainly did not happen.
The order of the lines is the order in time. All other lines are skipped, including those of the nemesis.
"""

from __future__ import annotations

import re
from typing import Any

from raft_chaos.invariants.linearizability.operations import NOT_REPORTED, Function, Model
from raft_chaos.invariants.linearizability.readers.edn import shown
from raft_chaos.invariants.linearizability.readers.history_file import HistoryError, ReadHistory, decoded
from raft_chaos.invariants.linearizability.readers.pairing import Paired, Pairing

_CLIENTS_LINE = re.compile(r"\bjepsen\.util\b[\s:-]*(\d{1,1000})(?:\s+(?=:)|\s*$)(.*)", re.ASCII)
_OPERATION = re.compile(r":(\S+)\s+:(\S+)\s+(\[[^\]]*\]|\S+)(?:\s+(.*))?", re.ASCII)
_NUMBER = re.compile(r"-?\d{1,18}", re.ASCII)
_PAIR = re.compile(r"\[\s*(\S+?)[\s,]+(\S+?)\s*\]", re.ASCII)
_FUNCTIONS: dict[str, Function] = {"read": "read", "write": "write", "cas": "cas"}


def read(file: str, raw: bytes, model: Model) -> ReadHistory:
    """The history in a file's content; `file` is its name in errors."""
    pairing = Pairing(file, shown=shown)
    skipped = 0
    lines = decoded(file, raw).split("\n")
    if lines.pop():  # "[1 2" shows that it was cut, but a 12 that was cut is a 1
        raise pairing.error(len(lines) + 1, "the file ends within this line; expected it to end with a newline")
    for number, line in enumerate(lines, 1):
        found = _CLIENTS_LINE.search(line)
        if found is not None:
            _line(pairing, number, int(found[1]), found[2].rstrip())
        else:
            skipped += 1
    if skipped == len(lines):
        raise HistoryError(file, None, r"holds no line such as INFO  jepsen.util - 3\t:invoke\t:read\tnil")
    return pairing.history(skipped=skipped)


def _line(pairing: Pairing, number: int, process: int, text: str) -> None:
    found = _OPERATION.fullmatch(text)
    if found is None:
        raise pairing.error(number, f"expected a type, a function and a value, got {shown(text)}")
    kind, function, value, why = found[1], found[2], found[3], found[4]
    f = _FUNCTIONS.get(function)
    if f is None:
        raise pairing.error(number, f"unknown function :{function}; a register has :read, :write and :cas")
    match kind:
        case "invoke":
            pairing.call(number, process, f, None, *_called(pairing, number, f, value))
        case "ok" | "fail" | "info":
            paired = pairing.end(number, process, f, kind)
            if kind == "ok":
                _happened(pairing, number, paired, value)
            elif kind == "fail" and f == "cas" and why is None and _PAIR.fullmatch(value):
                _repeated(pairing, number, paired, value)
                paired.status, paired.result = "refused", NOT_REPORTED
        case _:
            raise pairing.error(number, f"unknown type :{kind}; expected :invoke, :ok, :fail or :info")


def _called(pairing: Pairing, number: int, f: Function, text: str) -> tuple[Any, Any]:
    """The value to write, and the value that a cas expects."""
    if f == "read":
        if text != "nil":
            raise pairing.error(number, f"the value of a :read that is invoked: expected nil, got {text}")
        return None, None
    if f == "write":
        return _value(pairing, number, text), None
    pair = _PAIR.fullmatch(text)
    if pair is None:
        raise pairing.error(number, f"the value of a :cas: expected [expected new], such as [1 2], got {text}")
    return _value(pairing, number, pair[2]), _value(pairing, number, pair[1])


def _happened(pairing: Pairing, number: int, paired: Paired, text: str) -> None:
    if paired.f == "read":
        paired.result = _value(pairing, number, text)
    else:
        _repeated(pairing, number, paired, text)


def _repeated(pairing: Pairing, number: int, paired: Paired, text: str) -> None:
    value, expected = _called(pairing, number, paired.f, text)
    pairing.same(number, "value", value, paired, paired.value)
    pairing.same(number, "expected value", expected, paired, paired.expected)


def _value(pairing: Pairing, number: int, text: str) -> int | None:
    if text == "nil":
        return None
    if _NUMBER.fullmatch(text) is None:
        keyed = " (registers with keys: from history.edn)" if text.startswith("[") else ""
        raise pairing.error(number, f"expected nil or a number of at most 18 digits, got {text}{keyed}")
    return int(text)
