"""Traces written down event by event, as several nodes, the harness and clients report them."""

from __future__ import annotations

from typing import Any, TypeVar

from raft_chaos.invariants.events import (
    HARNESS,
    AnyEvent,
    CommitAdvanced,
    EntryAppended,
    Event,
    FaultInjected,
    LogTruncated,
    MessageReceived,
    MessageSent,
    NodeExited,
    NodeKilled,
    RoleChanged,
    Started,
    VoteGranted,
)
from raft_chaos.invariants.history import Op
from raft_chaos.invariants.judge import Judge
from raft_chaos.invariants.verdict import Violation

E = TypeVar("E", bound=Event)
TYPES = {"rv": "RequestVote", "rvr": "RequestVoteReply", "ae": "AppendEntries", "aer": "AppendEntriesReply"}


class Told:
    """A trace: each method adds what is reported next, a millisecond later, and returns it."""

    def __init__(self, *nodes: str) -> None:
        self.items: list[AnyEvent | Op] = []
        self.t_us = 0
        self.inc = dict.fromkeys(nodes, 1)
        self._sent = 0

    def say(self, node: str, kind: type[E], t_us: int | None = None, **fields: Any) -> E:
        self.t_us += 1_000
        event = kind(node=node, inc=self.inc.get(node, 1), t_us=self.t_us if t_us is None else t_us, **fields)
        self.items.append(event)  # type: ignore[arg-type]
        return event

    def op(self, type: str, client: str, number: int, f: str, **fields: Any) -> Op:
        self.t_us += 1_000
        op = Op(type=type, process=0, client=client, op=f"{client}/{number}", f=f, key="k", t_us=self.t_us, **fields)
        self.items.append(op)
        return op

    def violation(self, invariant: str) -> Violation:
        """The first violation of it that a judge finds in the trace."""
        judge = Judge()
        for item in self.items:
            if isinstance(item, Op):
                judge.observe_op(item)
            else:
                judge.observe(item)
        return next(verdict.violations[0] for verdict in judge.verdicts() if verdict.invariant == invariant)

    # ---- nodes ---------------------------------------------------------------------------------------------------

    def send(self, one: str, other: str, type: str) -> MessageSent:
        self._sent += 1
        return self.say(one, MessageSent, to=other, number=self._sent, type=TYPES.get(type, type))

    def arrives(self, sent: MessageSent) -> MessageReceived:
        return self.say(
            sent.to, MessageReceived, sender=sent.node, sender_inc=sent.inc, number=sent.number, type=sent.type
        )

    def message(self, one: str, other: str, type: str) -> MessageReceived:
        return self.arrives(self.send(one, other, type))

    def starts(self, *nodes: str, **state: Any) -> None:
        for node in nodes:
            self.say(node, Started, **{"term": 0, "voted_for": None, "last_index": 0, "digest": "", **state})

    def dies(self, node: str, **state: Any) -> Started:
        """It is killed, and starts again with that state."""
        self.say(HARNESS, NodeKilled, subject=node, subject_inc=self.inc[node])
        self.inc[node] += 1
        self.starts(node, **state)
        started = self.items[-1]
        assert isinstance(started, Started)
        return started

    def exits(self, node: str) -> None:
        """It ends by itself, and starts again with nothing."""
        self.say(HARNESS, NodeExited, subject=node, subject_inc=self.inc[node], exit_code=1)
        self.inc[node] += 1
        self.starts(node)

    def role(self, node: str, role: str, term: int, leader: str | None = None) -> RoleChanged:
        return self.say(node, RoleChanged, role=role, term=term, leader=node if role == "leader" else leader)

    def votes(self, node: str, candidate: str, term: int) -> VoteGranted:
        return self.say(node, VoteGranted, candidate=candidate, term=term)

    def wins(self, candidate: str, term: int, *voters: str) -> RoleChanged:
        """It stands, is voted for by these, and leads."""
        self.role(candidate, "candidate", term)
        self.votes(candidate, candidate, term)
        requests = [self.send(candidate, voter, "rv") for voter in voters]
        for request in requests:
            self.arrives(request)
            self.votes(request.to, candidate, term)
            self.message(request.to, candidate, "rvr")
        return self.role(candidate, "leader", term)

    def appends(self, node: str, index: int, term: int, digest: str = "", t_us: int | None = None) -> EntryAppended:
        return self.say(node, EntryAppended, t_us, index=index, term=term, digest=digest or f"{index}@{term}")

    def truncates(self, node: str, from_index: int) -> LogTruncated:
        return self.say(node, LogTruncated, from_index=from_index)

    def commits(self, node: str, index: int, term: int) -> CommitAdvanced:
        return self.say(node, CommitAdvanced, index=index, term=term)

    def replicates(self, leader: str, follower: str, index: int, term: int) -> None:
        """The entry goes to the follower, and is acknowledged."""
        self.message(leader, follower, "ae")
        self.appends(follower, index, term)
        self.message(follower, leader, "aer")

    def heartbeats(self, leader: str, follower: str, rounds: int) -> None:
        """What makes a trace long and tells nothing."""
        for _ in range(rounds):
            self.message(leader, follower, "ae")
            self.message(follower, leader, "aer")

    def fault(self, name: str, type: str, *targets: str) -> FaultInjected:
        return self.say(HARNESS, FaultInjected, fault=name, type=type, targets=targets, detail=f"{type} it is")
