"""Short notations for the events and operations that nodes and clients report.

A log is written as its entries, each a term and a letter: "1a 1b 2c". An entry's digest is that text up to the entry,
so it is chained over the prefix by construction, and a failing test shows it readably.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from raft_chaos.invariants.events import (
    CommitAdvanced,
    EntryAppended,
    EntryApplied,
    Event,
    LogTruncated,
    MessageReceived,
    MessageSent,
    RoleChanged,
    Started,
    VoteGranted,
)
from raft_chaos.invariants.history import Consistency, Op, OpFunction, OpType, Value
from raft_chaos.invariants.judge import Judge
from raft_chaos.invariants.verdict import Verdict


def started(node: str, inc: int = 1, term: int = 0, voted_for: str | None = None, log: str = "") -> Started:
    return Started(node=node, inc=inc, t_us=0, term=term, voted_for=voted_for, last_index=len(log.split()), digest=log)


def leads(node: str, term: int, inc: int = 1) -> RoleChanged:
    return RoleChanged(node=node, inc=inc, t_us=0, role="leader", term=term, leader=node)


def follows(node: str, term: int, inc: int = 1) -> RoleChanged:
    return RoleChanged(node=node, inc=inc, t_us=0, role="follower", term=term, leader=None)


def votes(node: str, term: int, candidate: str, inc: int = 1) -> VoteGranted:
    return VoteGranted(node=node, inc=inc, t_us=0, term=term, candidate=candidate)


def appends(node: str, entries: str, after: str = "", inc: int = 1) -> list[Event]:
    """The node appends `entries` to a log that holds `after`."""
    log = f"{after} {entries}".split()
    return [
        EntryAppended(
            node=node, inc=inc, t_us=0, index=index, term=int(log[index - 1][:-1]), digest=" ".join(log[:index])
        )
        for index in range(len(after.split()) + 1, len(log) + 1)
    ]


def truncates(node: str, from_index: int, inc: int = 1) -> LogTruncated:
    return LogTruncated(node=node, inc=inc, t_us=0, from_index=from_index)


def commits(node: str, index: int, term: int, inc: int = 1, t_us: int = 0) -> CommitAdvanced:
    return CommitAdvanced(node=node, inc=inc, t_us=t_us, index=index, term=term)


def applies(node: str, index: int, term: int, state: str = "s", inc: int = 1, t_us: int = 0) -> EntryApplied:
    return EntryApplied(node=node, inc=inc, t_us=t_us, index=index, term=term, digest=state)


def sends(node: str, to: str, number: int = 1, inc: int = 1) -> MessageSent:
    return MessageSent(node=node, inc=inc, t_us=0, to=to, number=number, type="M")


def receives(node: str, sender: str, number: int = 1, inc: int = 1, sender_inc: int = 1) -> MessageReceived:
    return MessageReceived(node=node, inc=inc, t_us=0, sender=sender, sender_inc=sender_inc, number=number, type="M")


def judged(*script: Event | list[Event], ops: Iterable[Op] = (), events_expected: bool = True) -> dict[str, Verdict]:
    """The verdicts on a script of n1, n2 and n3, by invariant. Lists in it are spliced in."""
    judge = Judge(voters=("n1", "n2", "n3"), events_expected=events_expected)
    for part in script:
        for event in part if isinstance(part, list) else [part]:
            judge.observe(event)
    for op in ops:
        judge.observe_op(op)
    return {verdict.invariant: verdict for verdict in judge.verdicts()}


def violated(verdicts: dict[str, Verdict]) -> list[str]:
    return sorted(name for name, verdict in verdicts.items() if verdict.outcome == "violated")


class History:
    """A client history, in the order in which the clients saw it: `invoke` opens an operation, the others answer it.

    Client "c0"'s operations are named "c0/0", "c0/1" and so on.
    """

    def __init__(self) -> None:
        self.ops: list[Op] = []
        self._invoked: dict[str, Op] = {}
        self._count: dict[str, int] = {}

    def invoke(self, client: str, f: OpFunction, key: str = "k", value: Value = None, expected: Value = None) -> str:
        number = self._count.get(client, 0)
        self._count[client] = number + 1
        op = self._invoked[f"{client}/{number}"] = self._op(
            "invoke", client, f"{client}/{number}", f, key, value, expected
        )
        return op.op

    def ok(self, op: str, value: Value = None, index: int | None = None, term: int | None = None) -> None:
        self._answer("ok", op, value, index, term)

    def fail(self, op: str) -> None:
        self._answer("fail", op)

    def info(self, op: str) -> None:
        self._answer("info", op)

    def put(self, client: str, value: str, key: str = "k") -> None:
        self.ok(self.invoke(client, "put", key, value))

    def append(self, client: str, token: str, key: str = "k") -> None:
        self.ok(self.invoke(client, "append", key, token))

    def read(self, client: str, value: Value, key: str = "k") -> None:
        self.ok(self.invoke(client, "get", key), value)

    def invoke_stale(self, client: str, consistency: Consistency = "stale", key: str = "k") -> str:
        """A read without a log entry."""
        op = self.invoke(client, "get", key)
        self._invoked[op] = self.ops[-1] = replace(self.ops[-1], consistency=consistency)
        return op

    def answer_stale(self, op: str, value: Value, index: int, node: str, inc: int) -> None:
        """Its answer, by this incarnation, which had applied the entries up to `index`."""
        self.ok(op, value, index, 1)
        self.ops[-1] = replace(self.ops[-1], consistency=self._invoked[op].consistency, node=node, inc=inc)

    def _answer(
        self, type: OpType, op: str, value: Value = None, index: int | None = None, term: int | None = None
    ) -> None:
        invoke = self._invoked[op]
        self._op(type, invoke.client, op, invoke.f, invoke.key, value, None, index, term)

    def _op(
        self,
        type: OpType,
        client: str,
        op: str,
        f: OpFunction,
        key: str,
        value: Value,
        expected: Value,
        index: int | None = None,
        term: int | None = None,
    ) -> Op:
        line = Op(
            type=type,
            process=0,
            client=client,
            op=op,
            f=f,
            key=key,
            t_us=len(self.ops),
            value=value,
            expected=expected,
            index=index,
            term=term,
        )
        self.ops.append(line)
        return line
