"""Client histories in Jepsen's form: every operation is invoked, and ends as ok, fail or info.

An `ok` operation happened. A `fail` operation certainly did not happen. An `info` operation may have happened, or may
still happen at any later time. A logical process has at most one open operation; after `info` its client continues
under a new process number.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

OpType: TypeAlias = Literal["invoke", "ok", "fail", "info"]
KeyFunction: TypeAlias = Literal["get", "put", "append", "cas", "delete"]
QueueFunction: TypeAlias = Literal["enqueue", "dequeue"]
OpFunction: TypeAlias = KeyFunction | QueueFunction
Consistency: TypeAlias = Literal["read_index", "lease", "stale"]
QUEUE_FUNCTIONS: tuple[QueueFunction, ...] = ("enqueue", "dequeue")
Value: TypeAlias = str | list[str] | None


class Op(msgspec.Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """One line of `history.jsonl`.

    `op` is the operation's name in the schedule ("c0/17": client and number). `value` is the value to write or append
    (invoke), or the value that was read (ok of a get: a string, a list of tokens, or None for an absent key). A `cas`
    also has `expected`; `ok` means that it took effect, and a `fail` carries the current value in `value`. The key of
    an `enqueue` or a `dequeue` is the queue's name; an ok dequeue carries the element that came out, or None if the
    queue was empty.
    `index` and `term` name the log entry, where the system reports one. `final` marks the reads at the end of the run,
    and the dequeues that empty the queues there.
    `t_us` is in microseconds since the run began.

    A get with a `consistency` needed no log entry. "read_index" and "lease" are linearizable like all others. "stale"
    shows what the node has applied, however old that is, so it is no part of the linearizable history:
    `checkers.stale_reads` judges it. The answers to all of them name the incarnation (`node`, `inc`) that gave it, and
    as `index` and `term` the last entry that this incarnation had applied.
    """

    type: OpType
    process: int
    client: str
    op: str
    f: OpFunction
    key: str
    t_us: int
    value: Value = None
    expected: Value = None
    index: int | None = None
    term: int | None = None
    error: str | None = None
    final: bool = False
    consistency: Consistency | None = None
    node: str | None = None
    inc: int | None = None


ELSEWHERE = ("redirected", "not taken", "no leader known")
"""How the error of a failed operation begins if no node took it: the last one that was asked left it to another one."""


def is_elsewhere(op: Op) -> bool:
    """Whether the operation failed since nobody took it: no node was asked that carries out such operations now."""
    return op.type == "fail" and (op.error or "").startswith(ELSEWHERE)


EXPIRED = "session expired"
"""How the error begins of a command that was not applied, since its session may have been forgotten (§8)."""


def is_expired(op: Op) -> bool:
    """Whether the operation failed since its session had expired."""
    return op.type == "fail" and (op.error or "").startswith(EXPIRED)


def on_key(f: OpFunction) -> KeyFunction:
    """The same function, for a system that has no queues. Raises ValueError for one of a queue."""
    if f == "enqueue" or f == "dequeue":
        raise ValueError(f"our own Raft has no {f}: it has keys, and no queues")
    return f


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Op)


def encode(op: Op) -> bytes:
    """One operation as one JSON line, newline included."""
    return _encoder.encode(op) + b"\n"


def decode(line: bytes) -> Op:
    """The operation of one line. Raises one of `invariants.events.MALFORMED`."""
    return _decoder.decode(line)
