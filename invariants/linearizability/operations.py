"""The input and output of the checker: operations of clients on keys, and an answer with its core, or what is wrong
with an order.

A history is a list of operations in any order. Only their times say what happened before what: an operation is before
another if it returned before the other was called. If a call and a return have the same time, the call comes first, so
the two operations overlap.

The models, each over independent keys:

    register     read, write, cas; a value is anything that can be compared; initially None
    kv           our state machine: get, put, cas, append to a list, delete; initially None: the key is absent
    kv-append    get, put, append by concatenation to a string; initially ""
    list-append  append a value to a list, read the whole list; initially empty
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, Literal, TypeAlias

import msgspec

Model: TypeAlias = Literal["register", "kv", "kv-append", "list-append"]
Function: TypeAlias = Literal["read", "write", "cas", "append", "delete", "enqueue", "dequeue"]
"""What an operation does. A store's `get` and `put` are a `read` and a `write` of the key. No model has queues: their
operations are only paired (`readers.pairing`), and judged as `total_queue`."""

Status: TypeAlias = Literal["ok", "refused", "unknown"]

NOT_REPORTED = msgspec.UNSET
"""The result of a refused cas that did not report what it found."""


class Operation(msgspec.Struct, frozen=True, gc=False):
    """One operation on one key. `number` identifies it: its position in the history that it was read from, from 0.
    `label` is its name in answers; without a label the answer uses the number.

    `status` "ok": it took effect. "refused": a cas that found another value, or an append to a value that is not a
    list; it changed nothing, but says something about the state. "unknown": it may have taken effect, or may still do
    so. A history leaves out operations that certainly did not happen and say nothing about the state.

    `value` is the value to write or append, `expected` the value that a cas expects. `result` is the value that a read
    returned or that a refused operation found (NOT_REPORTED if it did not report one). None is the absent key, or a
    register's initial value. `called` and `returned` are integers in one unit of time; `returned` is None if the
    operation never returned.
    """

    number: int
    key: Hashable
    f: Function
    called: int
    returned: int | None
    value: Any = None
    expected: Any = None
    result: Any = None
    status: Status = "ok"
    process: Any = None
    label: str = ""


class Answer(msgspec.Struct, frozen=True):
    """The checker's answer about a history.

    "valid": each key has an order that respects real time and the model; the checker replayed that order through the
    model. "violated": `core` holds a few operations of `key`, by the time of their calls, that have no such order
    whatever else happened, and `argument` says why in words. `others` are other keys that were found violated
    without a search. "unknown": the search on `key` was given up after `steps` steps.
    """

    verdict: Literal["valid", "violated", "unknown"]
    judged: int
    key: Any = None
    core: tuple[Operation, ...] = ()
    argument: str = ""
    steps: int = 0
    others: tuple[Any, ...] = ()


class Disagreement(msgspec.Struct, frozen=True):
    """Where an order first fails: `operation` cannot come at its position, because of `other` if that is not None."""

    reason: str
    operation: Operation | None = None
    other: Operation | None = None
