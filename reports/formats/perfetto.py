"""A run as a trace for ui.perfetto.dev: what happened, on tracks that zoom from minutes to single messages.

the run       its phases, its violations (drawn through all tracks), and its faults
each node     its role, whether it is down or paused, its votes, and its messages, with arrows from send to receive
clients       the operations of each client
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Any, TypeAlias

from raft_chaos.invariants.events import (
    AnyEvent,
    CommitAdvanced,
    LeaderObserved,
    LogTruncated,
    MessageReceived,
    MessageSent,
    NodeExited,
    NodeKilled,
    NodeLaunched,
    NodePaused,
    NodeResumed,
    PhaseStarted,
    RoleChanged,
    Started,
    VoteGranted,
)
from raft_chaos.invariants.history import Op
from raft_chaos.invariants.rundir import RunDir, RunDirError, RunInfo
from raft_chaos.invariants.seal import changed
from raft_chaos.reports.facts.faults import fault_rows
from raft_chaos.reports.facts.violations import violation_rows
from raft_chaos.reports.formats.trace_events import Lanes, Process, Trace, Track, texts
from raft_chaos.reports.text import json_value

MessageId: TypeAlias = tuple[str, int, int]
"""Sender, its incarnation, number."""


def perfetto(run: RunDir) -> str:
    """The trace as JSON. Raises RunDirError for a run that cannot be read, or whose evidence has changed."""
    info = run.load_info()
    if damage := changed(run, info):
        raise RunDirError(damage[0])
    harness, streams, history = run.harness_events(), run.node_streams(), run.operations()
    times = [event.t_us for stream in [*streams, harness] for event in stream] + [op.t_us for op in history]
    ends_us = max(times, default=0)
    trace = Trace()
    _run(trace.process(f"run: seed {info.seed}, {info.world}, {info.target}"), info, harness, ends_us)
    by_node = {stream[0].node: stream for stream in streams}
    sent, arrivals = _messages(streams)
    for node in dict.fromkeys([*info.nodes, *by_node]):
        _node(trace.process(node), node, by_node.get(node, []), harness, ends_us, sent, arrivals)
    _clients(trace.process("clients"), history, ends_us)
    about = {
        "seed": info.seed,
        "world": info.world,
        "target": info.target,
        "verdict": info.verdict,
        "repro": info.repro,
    }
    return trace.encoded(about)


# ---- the run -----------------------------------------------------------------------------------------------------


def _run(process: Process, info: RunInfo, harness: Sequence[AnyEvent], ends_us: int) -> None:
    phases = [event for event in harness if isinstance(event, PhaseStarted)]
    track = process.track("phases")
    for phase, later in zip_longest(phases, phases[1:]):
        track.slice(phase.phase, "phase", phase.t_us, ends_us if later is None else later.t_us)
    if violations := list(_violations(info)):
        track = process.track("violations")
        for at_us, name, args in violations:
            track.instant(name, "violation", at_us, everywhere=True, **args)
    lanes = Lanes(process, "faults")
    for fault in fault_rows(list(harness), []):
        if fault.injected_us is not None:
            until_us = ends_us if fault.healed_us is None else fault.healed_us
            targets = " ".join(f"{node}*" if node == fault.leader else node for node in fault.targets)
            args = texts([("id", fault.id), ("seen", fault.seen), ("effective", fault.effective), ("moot", fault.moot)])
            lanes.slice(f"{fault.kind} {targets}".rstrip(), "fault", fault.injected_us, until_us, **args)


def _violations(info: RunInfo) -> Iterator[tuple[int, str, dict[str, Any]]]:
    """Each at the time of the last event of its witness."""
    for verdict in info.invariants:
        for row, violation in zip(violation_rows([verdict]), verdict.violations, strict=False):
            times = [item["t_us"] for item in violation.witness if isinstance(item, dict) and "t_us" in item]
            args = {"message": row.message, "rule": row.rule, "witness": "\n".join(row.witness)}
            yield max(times, default=0), f"violated: {row.invariant}", args


# ---- a node ------------------------------------------------------------------------------------------------------


def _node(
    process: Process,
    node: str,
    stream: Sequence[AnyEvent],
    harness: Sequence[AnyEvent],
    ends_us: int,
    sent: Mapping[MessageId, MessageSent],
    arrivals: Mapping[MessageId, list[int]],
) -> None:
    gone = {e.subject_inc: e.t_us for e in harness if isinstance(e, NodeKilled | NodeExited) and e.subject == node}
    _roles(process.track("role"), stream, gone, ends_us)
    _availability(process.track("process"), node, harness, ends_us)
    log = process.track("votes and log")
    for event in stream:
        match event:
            case VoteGranted():
                log.instant(f"votes for {event.candidate}", "vote", event.t_us, term=event.term)
            case LogTruncated():
                log.instant(f"truncates from {event.from_index}", "log", event.t_us)
            case CommitAdvanced():
                process.counter("commit index", event.t_us, event.index)
    for seen in harness:
        if isinstance(seen, LeaderObserved) and seen.subject == node:
            log.instant("says that it leads", "leader", seen.t_us, **texts([("term", seen.term), ("said", seen.said)]))
    if stream:
        _traffic(process.track("messages"), stream, sent, arrivals)


def _roles(track: Track, stream: Sequence[AnyEvent], gone: Mapping[int, int], ends_us: int) -> None:
    """A slice for each role and term, until the next one or the end of the incarnation."""
    changes = [event for event in stream if isinstance(event, Started | RoleChanged)]
    for event, later in zip_longest(changes, changes[1:]):
        until_us = ends_us if later is None else later.t_us
        if later is None or later.inc != event.inc:
            until_us = min(until_us, gone.get(event.inc, until_us))
        role, leader = ("follower", None) if isinstance(event, Started) else (event.role, event.leader)
        if until_us > event.t_us:
            args = texts([("term", event.term), ("leader", leader), ("incarnation", event.inc)])
            track.slice(f"{role}, term {event.term}", role, event.t_us, until_us, **args)


def _availability(track: Track, node: str, harness: Sequence[AnyEvent], ends_us: int) -> None:
    """Slices while the node is down or paused."""
    open_: tuple[str, int, dict[str, Any]] | None = None
    for event in harness:
        if not isinstance(event, NodeLaunched | NodeKilled | NodeExited | NodePaused | NodeResumed):
            continue
        if event.subject != node:
            continue
        if open_ is not None:
            track.slice(open_[0], "process", open_[1], event.t_us, **open_[2])
        args: dict[str, Any] = {"incarnation": event.subject_inc}
        match event:
            case NodePaused():
                open_ = ("paused", event.t_us, args)
            case NodeKilled():
                open_ = ("down: killed", event.t_us, args)
            case NodeExited():
                open_ = (f"ended by itself, {event.exit_code}", event.t_us, {**args, "stderr": event.log_tail})
            case _:
                open_ = None
    if open_ is not None:
        track.slice(open_[0], "process", open_[1], ends_us, **open_[2])


# ---- messages ----------------------------------------------------------------------------------------------------


def _messages(
    streams: Sequence[Sequence[AnyEvent]],
) -> tuple[dict[MessageId, MessageSent], dict[MessageId, list[int]]]:
    """The messages that were sent, and the numbers of the flows of each that arrived: two, if it came twice."""
    sent: dict[MessageId, MessageSent] = {}
    arrivals: dict[MessageId, list[int]] = {}
    flow = 0
    for stream in streams:
        for event in stream:
            if isinstance(event, MessageSent):
                sent[event.node, event.inc, event.number] = event
            elif isinstance(event, MessageReceived):
                flow += 1
                arrivals.setdefault((event.sender, event.sender_inc, event.number), []).append(flow)
    return sent, arrivals


def _traffic(
    track: Track,
    stream: Sequence[AnyEvent],
    sent: Mapping[MessageId, MessageSent],
    arrivals: Mapping[MessageId, list[int]],
) -> None:
    """A short slice for each message that the node sent or received, and its end of each arrow."""
    node, received = stream[0].node, dict.fromkeys(arrivals, 0)
    for event in stream:
        if isinstance(event, MessageSent):
            flows = arrivals.get((node, event.inc, event.number), [])
            lost = "" if flows else ", never received"
            track.slice(f"{event.type} to {event.to}{lost}", "sent", event.t_us, event.t_us + 1, number=event.number)
            for flow in flows:
                track.flow_from(flow, "message", event.t_us)
        elif isinstance(event, MessageReceived):
            message = (event.sender, event.sender_inc, event.number)
            late_us = event.t_us - sent[message].t_us if message in sent else None
            again = ", again" if received[message] else ""
            args = texts([("number", event.number), ("under way us", late_us)])
            track.slice(f"{event.type} from {event.sender}{again}", "received", event.t_us, event.t_us + 1, **args)
            if message in sent:
                track.flow_to(arrivals[message][received[message]], "message", event.t_us)
            received[message] += 1


# ---- clients -----------------------------------------------------------------------------------------------------


def _clients(process: Process, history: Sequence[Op], ends_us: int) -> None:
    """Each client's operations. One of unknown outcome ends when its client gave it up."""
    ends = {(op.process, op.op): op for op in history if op.type != "invoke"}
    lanes: dict[str, Lanes] = {}
    for op in sorted((op for op in history if op.type == "invoke"), key=lambda op: op.t_us):
        end = ends.get((op.process, op.op))
        outcome = "open" if end is None else end.type
        until_us = ends_us if end is None else end.t_us
        if op.client not in lanes:
            lanes[op.client] = Lanes(process, op.client)
        result = None if end is None or end.value is None else json_value(end.value)
        asked = " ".join([op.f, op.key, *([json_value(op.value)] if op.value is not None else [])])
        args = texts([("result", result), ("error", None if end is None else end.error), ("process", op.process)])
        name = asked if outcome == "ok" else f"{asked}: {outcome}"
        lanes[op.client].slice(name, outcome, op.t_us, until_us, **args)
