"""What the tests of reports share: run directories as a controller leaves them, and traces, event by event.

Both are small enough to read: real files, real events.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from junitparser import JUnitXml

from raft_chaos.invariants import events, history
from raft_chaos.invariants.events import (
    HARNESS,
    AnyEvent,
    CommitAdvanced,
    EntryAppended,
    Event,
    FaultHealed,
    FaultInjected,
    LogTruncated,
    MessageReceived,
    MessageSent,
    NodeExited,
    NodeKilled,
    NodeLaunched,
    NodePaused,
    NodeResumed,
    NodeSampled,
    PhaseStarted,
    RoleChanged,
    RunEnded,
    Started,
    VoteGranted,
)
from raft_chaos.invariants.history import Op
from raft_chaos.invariants.judge import Judge
from raft_chaos.invariants.rundir import RunDir, RunInfo
from raft_chaos.invariants.seal import seal
from raft_chaos.invariants.verdict import Verdict, Violation

E = TypeVar("E", bound=Event)
TYPES = {"rv": "RequestVote", "rvr": "RequestVoteReply", "ae": "AppendEntries", "aer": "AppendEntriesReply"}

NODES = ["n1", "n2", "n3", "n4", "n5"]
REPRO = "raft-chaos run --seed 42 --world live --nodes 5"
MS = 1_000


def save(
    path: Path,
    info: RunInfo,
    *,
    harness: Sequence[Event] = (),
    nodes: Sequence[Event] = (),
    ops: Sequence[Op] = (),
    schedule: Sequence[dict[str, Any]] = (),
) -> RunDir:
    """Writes a run directory. `nodes` holds the events of all nodes, in any interleaving."""
    run = RunDir(path)
    path.mkdir(parents=True, exist_ok=True)
    run.save_info(info)
    run.harness.write_bytes(b"".join(map(events.encode, harness)))
    run.history.write_bytes(b"".join(map(history.encode, ops)))
    run.schedule.write_bytes(b"".join(msgspec.json.encode(line) + b"\n" for line in schedule))
    for event in nodes:
        file = run.node_events(event.node, event.inc)
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("ab") as lines:
            lines.write(events.encode(event))
    if info.state == "finished":
        run.save_info(msgspec.structs.replace(info, evidence=seal(run)))
    return run


def info(**changes: Any) -> RunInfo:
    """The run.json of a finished, valid run of seed 42, with these changes."""
    fields: dict[str, Any] = {
        "seed": 42,
        "state": "finished",
        "started_at": "2025-03-01T12:00:00+00:00",
        "commit": "3f9c2ab",
        "versions": {"python": "3.11.7", "raft-chaos": "0.1.0"},
        "nodes": NODES,
        "verdict": "valid",
        "invariants": [
            Verdict("election_safety", "valid", 14),
            Verdict("log_matching", "valid", 2210),
            Verdict("linearizability", "valid", 961),
        ],
        "repro": REPRO,
    }
    return RunInfo(**{**fields, **changes})


def violated_info(**changes: Any) -> RunInfo:
    """Two leaders in term 2, and a linearizability checker that ran out of time."""
    witness = (
        RoleChanged(node="n1", inc=1, t_us=8_412_031, role="leader", term=2, leader="n1"),
        RoleChanged(node="n3", inc=1, t_us=8_590_977, role="leader", term=2, leader="n3"),
    )
    split = Violation("election_safety", "n1 and n3 both led term 2", "§5.2: at most one leader a term", witness)
    return info(
        verdict="violated",
        mutant="double_vote",
        invariants=[
            Verdict("log_matching", "valid", 2210),
            Verdict("linearizability", "unknown", 961, "the search took longer than 60 s"),
            Verdict("election_safety", "violated", 14, "", (split,), 3),
        ],
        **changes,
    )


SCHEDULE: list[dict[str, Any]] = [
    {"kind": "schedule", "schema": 1, "seed": 42, "nodes": NODES, "clients": ["c0"]},
    {"kind": "fault", "id": "f1", "when": {"on": "leader_elected"}, "action": {"type": "kill", "nodes": ["leader"]}},
    {"kind": "fault", "id": "f2", "when": {"at_us": 9_000_000}, "action": {"type": "partition", "shape": "halves"}},
    {"kind": "fault", "id": "f3", "when": {"at_us": 12_000_000}, "action": {"type": "pause", "nodes": ["n5"]}},
    {
        "kind": "fault",
        "id": "f4",
        "when": {"on": "leader_elected", "nth": 9, "after_us": 50_000},
        "action": {"type": "partition", "shape": "isolate_leader"},
    },
    {"kind": "op", "id": "c0/0", "client": "c0", "at_us": 0, "f": "put", "key": "k1", "value": "a"},
]


def _harness(t_us: int) -> dict[str, Any]:
    return {"node": HARNESS, "inc": 1, "t_us": t_us}


def _samples(node: str, number: int) -> list[Event]:
    cpus = (3.0, 4.5 + number)
    return [
        NodeSampled(
            **_harness(5_000_000 * turn),
            subject=node,
            subject_inc=1,
            cpu_percent=cpu,
            rss_bytes=(30 + number) << 20,
            open_files=12,
            threads=2,
        )
        for turn, cpu in enumerate(cpus, 1)
    ]


HARNESS_EVENTS: list[Event] = [
    *(NodeLaunched(**_harness(100_000 + i), subject=node, subject_inc=1) for i, node in enumerate(NODES)),
    *(sample for i, node in enumerate(NODES) for sample in _samples(node, i)),
    FaultInjected(**_harness(1_300_000), fault="f1", type="kill", targets=("n1",), detail="SIGKILL", leader="n1"),
    NodeKilled(**_harness(1_301_000), subject="n1", subject_inc=1),
    NodeLaunched(**_harness(3_000_000), subject="n1", subject_inc=2),
    FaultHealed(**_harness(3_000_500), fault="f1", type="kill", effective=True, effect="n1 runs as incarnation 2"),
    FaultInjected(
        **_harness(9_000_000), fault="f2", type="partition", targets=("n1", "n2", "n3"), detail="halves", leader="n2"
    ),
    FaultHealed(
        **_harness(11_500_000), fault="f2", type="partition", effective=True, effect="214 frames held back in 12 cuts"
    ),
    FaultInjected(**_harness(12_000_000), fault="f3", type="pause", targets=("n5",), detail="SIGSTOP", leader="n2"),
    NodePaused(**_harness(12_000_400), subject="n5", subject_inc=1),
    NodeResumed(**_harness(14_000_000), subject="n5", subject_inc=1),
    FaultHealed(
        **_harness(14_000_100), fault="f3", type="pause", effective=False, effect="the stopped state was not seen"
    ),
    PhaseStarted(**_harness(20_000_000), phase="liveness", commit_target=3, owed=("n1", "n5"), bound_us=5_000_000),
    RunEnded(**_harness(24_700_000), reason="done"),
]


def started(node: str, inc: int, t_us: int, last_index: int = 0, term: int = 0) -> Event:
    return Started(node=node, inc=inc, t_us=t_us, term=term, voted_for=None, last_index=last_index, digest="")


def role(node: str, inc: int, t_us: int, role: events.Role, term: int, leader: str | None = None) -> Event:
    return RoleChanged(node=node, inc=inc, t_us=t_us, role=role, term=term, leader=leader)


def entries(node: str, inc: int, t_us: int, *indexes: int) -> list[Event]:
    return [EntryAppended(node=node, inc=inc, t_us=t_us, index=i, term=1, digest=f"d{i}") for i in indexes]


def commit(node: str, inc: int, t_us: int, index: int, term: int) -> Event:
    return CommitAdvanced(node=node, inc=inc, t_us=t_us, index=index, term=term)


NODE_EVENTS: list[Event] = [
    *(started(node, 1, 90_000) for node in NODES),
    # Term 1: n1 is elected by three, then killed. It comes back with one of three entries.
    role("n1", 1, 260_000, "candidate", 1),
    *(VoteGranted(node=node, inc=1, t_us=270_000, term=1, candidate="n1") for node in ("n1", "n2", "n3")),
    role("n1", 1, 276_400, "leader", 1, "n1"),
    *entries("n1", 1, 300_000, 1),
    commit("n1", 1, 310_000, 1, 1),
    started("n1", 2, 2_990_000, last_index=1, term=1),
    *entries("n1", 2, 2_991_000, 1),
    # Term 2: a split vote between n2 and n4. Term 3: n2 wins.
    *(role(node, 1, 1_600_000, "candidate", 2) for node in ("n4", "n2")),
    *(VoteGranted(node=n, inc=1, t_us=1_610_000, term=2, candidate=c) for n, c in (("n2", "n2"), ("n4", "n4"))),
    *(VoteGranted(node=n, inc=1, t_us=1_612_000, term=2, candidate=c) for n, c in (("n3", "n2"), ("n5", "n4"))),
    role("n2", 1, 1_900_000, "candidate", 3),
    *(VoteGranted(node=node, inc=1, t_us=1_905_000, term=3, candidate="n2") for node in ("n2", "n3", "n4")),
    role("n2", 1, 1_912_000, "leader", 3, "n2"),
    role("n4", 1, 1_913_000, "follower", 3, "n2"),
    *(entry for node in ("n2", "n3", "n4", "n5") for entry in entries(node, 1, 4_000_000, 1, 2, 3)),
    *(commit(node, 1, 4_010_000, 3, 3) for node in ("n2", "n3", "n4")),
    # The liveness phase began at 20 s: n1 gets two entries within 41.5 ms, n5 never learns what is committed.
    *entries("n1", 2, 20_030_000, 2, 3),
    commit("n1", 2, 20_041_500, 3, 3),
]


def operations() -> list[Op]:
    """50 puts of 1 to 50 ms that are ok, one that failed, one unknown, and a get still open."""
    ops: list[Op] = []
    ends: list[tuple[history.OpType, int]] = [("ok", ms * MS) for ms in range(1, 51)]
    for number, (end, latency_us) in enumerate([*ends, ("fail", 7 * MS), ("info", 900 * MS)]):
        fields: dict[str, Any] = {"process": number, "client": "c0", "op": f"c0/{number}", "f": "put", "key": "k1"}
        ops.append(Op(type="invoke", t_us=number * 1000 * MS, value="a", **fields))
        ops.append(Op(type=end, t_us=number * 1000 * MS + latency_us, value="a", **fields))
    ops.append(Op(type="invoke", process=99, client="c1", op="c1/0", f="get", key="k1", t_us=60_000 * MS))
    return ops


def five_nodes(path: Path, run_info: RunInfo) -> RunDir:
    """A run of 24.7 s: a kill, a partition, a pause without effect, and a fault that never fired."""
    return save(path, run_info, harness=HARNESS_EVENTS, nodes=NODE_EVENTS, ops=operations(), schedule=SCHEDULE)


def junit_cases(xml: str) -> dict[str, Any]:
    """The test cases of a document of one suite, by name."""
    [suite] = JUnitXml.fromstring(xml.encode())
    return {case.name: case for case in suite}


# ---- traces ------------------------------------------------------------------------------------------------------


class Trace:
    """A trace: each method adds the next event, a millisecond later, and returns it."""

    def __init__(self, *nodes: str) -> None:
        self.items: list[AnyEvent | Op] = []
        self.t_us = 0
        self.inc = dict.fromkeys(nodes, 1)
        self._sent = 0

    def add(self, node: str, kind: type[E], t_us: int | None = None, **fields: Any) -> E:
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
        return self.add(one, MessageSent, to=other, number=self._sent, type=TYPES.get(type, type))

    def arrives(self, sent: MessageSent) -> MessageReceived:
        return self.add(
            sent.to, MessageReceived, sender=sent.node, sender_inc=sent.inc, number=sent.number, type=sent.type
        )

    def message(self, one: str, other: str, type: str) -> MessageReceived:
        return self.arrives(self.send(one, other, type))

    def starts(self, *nodes: str, **state: Any) -> None:
        for node in nodes:
            self.add(node, Started, **{"term": 0, "voted_for": None, "last_index": 0, "digest": "", **state})

    def dies(self, node: str, **state: Any) -> Started:
        """It is killed, and starts again with that state."""
        self.add(HARNESS, NodeKilled, subject=node, subject_inc=self.inc[node])
        self.inc[node] += 1
        self.starts(node, **state)
        started = self.items[-1]
        assert isinstance(started, Started)
        return started

    def exits(self, node: str) -> None:
        """It ends by itself, and starts again with nothing."""
        self.add(HARNESS, NodeExited, subject=node, subject_inc=self.inc[node], exit_code=1)
        self.inc[node] += 1
        self.starts(node)

    def role(self, node: str, role: str, term: int, leader: str | None = None) -> RoleChanged:
        return self.add(node, RoleChanged, role=role, term=term, leader=node if role == "leader" else leader)

    def votes(self, node: str, candidate: str, term: int) -> VoteGranted:
        return self.add(node, VoteGranted, candidate=candidate, term=term)

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
        return self.add(node, EntryAppended, t_us, index=index, term=term, digest=digest or f"{index}@{term}")

    def truncates(self, node: str, from_index: int) -> LogTruncated:
        return self.add(node, LogTruncated, from_index=from_index)

    def commits(self, node: str, index: int, term: int) -> CommitAdvanced:
        return self.add(node, CommitAdvanced, index=index, term=term)

    def replicates(self, leader: str, follower: str, index: int, term: int) -> None:
        """The entry goes to the follower, and is acknowledged."""
        self.message(leader, follower, "ae")
        self.appends(follower, index, term)
        self.message(follower, leader, "aer")

    def heartbeats(self, leader: str, follower: str, rounds: int) -> None:
        """Messages that make a trace long and say nothing."""
        for _ in range(rounds):
            self.message(leader, follower, "ae")
            self.message(follower, leader, "aer")

    def fault(self, name: str, type: str, *targets: str) -> FaultInjected:
        return self.add(HARNESS, FaultInjected, fault=name, type=type, targets=targets, detail=f"{type} it is")
