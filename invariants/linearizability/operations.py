"""What is judged, and what is answered: operations of clients on keys, and a verdict with its proof or its core.

A history is a list of operations in any order; only their times say what happened before what. An operation is before
another if it returned before the other one was called. Of a call and a return at the same time the call comes first, so
the two overlap.

The models, each over keys that do not influence each other:

    register     read, write, cas; a value is anything that can be compared, and at first None
    kv           our state machine: get, put, cas, append to a list, delete; at first None, the key is absent
    kv-append    get, put, append by concatenation to a string, which is at first ""
    list-append  append a value to a list, read the whole list, which is at first empty
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, Literal, TypeAlias

import msgspec

Model: TypeAlias = Literal["register", "kv", "kv-append", "list-append"]
Function: TypeAlias = Literal["read", "write", "cas", "append", "delete"]
"""What an operation does. `get` and `put` of a store are a `read` and a `write` of the key."""

Status: TypeAlias = Literal["ok", "refused", "unknown"]

NOT_TOLD = msgspec.UNSET
"""The result of a refused cas that did not say what it found."""


class Operation(msgspec.Struct, frozen=True, gc=False):
    """One operation on one key. `number` tells it from all others: its place in the history it was read from, from 0.
    `label` is its name in answers; without one it is called by its number.

    `status`: "ok" it happened; "refused" a cas (or an append to what is no list) that found something else and did
    nothing, which is a fact about the state; "unknown" it may have happened, or may yet. Operations that certainly did
    not happen and tell nothing are not in a history.

    `value` is what is written or appended, `expected` what a cas expects. `result` is what a read returned, or what a
    refused operation found (NOT_TOLD if it did not say); None is the absent key, or a register's first value.
    `called` and `returned` are integers on one scale of time; `returned` None: it never did, and never will.
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
    """What is to be said of a history.

    "valid": each key has an order that respects real time and the model, and that order was played through the model
    before this was said. "violated": `core` are a few operations of `key` (by number, as they stand in the history)
    that have no such order among themselves, whatever else happened, and `argument` says why in words. `others` are
    keys that are violated too, as far as that shows without a search. "unknown": the
    search on `key` was given up after `steps` of it.
    """

    verdict: Literal["valid", "violated", "unknown"]
    judged: int
    key: Any = None
    core: tuple[Operation, ...] = ()
    argument: str = ""
    steps: int = 0
    others: tuple[Any, ...] = ()
