"""A trace as text: one line for each event, in the order of the trace.

      1.204317  n2#1         became candidate in term 3
      1.204317  n2#1 > n3    RequestVote #17
      1.205102  n3#1 < n2#1  RequestVote #17
      1.301000  harness      fault f1 kill: kill n2 (leader n2)
      1.310422  c2           invoke c2/17 put reg/c2/0 = c2-17

The columns are the time in seconds, the reporter (node#incarnation, with the other end of a message; the harness; or a
client), and what happened. Only the first digits of a digest are shown. Text from a node or a client cannot move the
cursor or break the line.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import assert_never

from raft_chaos.invariants.events import (
    HARNESS,
    AnsweredAgain,
    AnyEvent,
    ChangeAnswered,
    CommitAdvanced,
    ConfigurationUsed,
    EntryAppended,
    EntryApplied,
    FaultHealed,
    FaultInjected,
    LeaderObserved,
    LogsFollowed,
    LogsLost,
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
    PreVoteStarted,
    RoleChanged,
    RunEnded,
    SnapshotInstalled,
    SnapshotRestored,
    SnapshotTaken,
    Started,
    VoteGranted,
)
from raft_chaos.invariants.history import Op, Value
from raft_chaos.reports.text import US_PER_S, json_value, milliseconds, visible

SHOWN_DIGITS = 8
_WHO_WIDTH = len("n3#1 < n2#1")
_PLAIN = re.compile(r"[\w./:-]+", re.ASCII)
_MB = 1_000_000


def event_lines(events: Iterable[AnyEvent | Op]) -> Iterator[str]:
    """One line for each event, without line ends."""
    return map(event_line, events)


def event_line(event: AnyEvent | Op) -> str:
    """One event or client operation as one line, without its line end."""
    return visible(f"{event.t_us / US_PER_S:10.6f}  {who(event):<{_WHO_WIDTH}}  {what(event)}")


def who(event: AnyEvent | Op) -> str:
    """The reporter, and the other end of a message. The text is as the node wrote it, not yet made visible."""
    if isinstance(event, Op):
        return event.client
    if event.node == HARNESS:
        return HARNESS
    reporter = f"{event.node}#{event.inc}"
    match event:
        case MessageSent():
            return f"{reporter} > {event.to}"
        case MessageReceived():
            return f"{reporter} < {event.sender}#{event.sender_inc}"
        case _:
            return reporter


def what(event: AnyEvent | Op) -> str:
    """What happened. The text is as the node or the client wrote it, not yet made visible."""
    match event:
        case Op():
            return _operation(event)
        case Started():
            return _started(event)
        case RoleChanged():
            return _role_changed(event)
        case PreVoteStarted():
            return f"asks whether it would win the election of term {event.term}"
        case VoteGranted():
            return f"voted for {event.candidate} in term {event.term}"
        case EntryAppended():
            what = f": {event.members}" if event.members is not None else ""
            return f"appended {event.index} (term {event.term}) {_digits(event.digest)}{what}"
        case ConfigurationUsed():
            return f"uses configuration {event.index}: {event.members}"
        case LogTruncated():
            return f"truncates its log from {event.from_index} on"
        case CommitAdvanced():
            return f"committed up to {event.index} in term {event.term}"
        case EntryApplied():
            return f"applied {event.index} (term {event.term}), state {_digits(event.digest)}"
        case SnapshotTaken():
            return (
                f"took a snapshot up to {event.index} (term {event.term}) {_digits(event.digest)}, "
                f"state {_digits(event.state)}"
            )
        case SnapshotInstalled():
            return f"installed a snapshot up to {event.index} (term {event.term}) {_digits(event.digest)}"
        case SnapshotRestored():
            return (
                f"restored the state of the snapshot up to {event.index} (term {event.term}), "
                f"state {_digits(event.digest)}"
            )
        case MessageSent() | MessageReceived():
            return f"{event.type} #{event.number}"
        case NodeLaunched():
            return f"launched {event.subject}#{event.subject_inc}"
        case NodeKilled():
            took = f", which lost {event.lost_bytes} unsynced bytes and {event.lost_names} unsynced names"
            return f"killed {event.subject}#{event.subject_inc}" + took * (event.lost_bytes is not None)
        case NodePaused():
            return f"paused {event.subject}#{event.subject_inc}"
        case NodeResumed():
            return f"resumed {event.subject}#{event.subject_inc}"
        case NodeExited():
            tail = f": {event.log_tail.strip()}" if event.log_tail.strip() else ""
            why = f", excused by {event.excused}" if event.excused else ""
            return f"{event.subject}#{event.subject_inc} ended by itself with exit code {event.exit_code}{why}{tail}"
        case NodeSampled():
            return _sampled(event)
        case LeaderObserved():
            term = f" in term {event.term}" if event.term else ""
            return f"{event.subject}#{event.subject_inc} says that it leads{term}" + (
                f": {event.said}{_where(event)}" if event.said else ""
            )
        case LogsFollowed():
            shown = "shown to be right" if event.checked else "not shown to be right"
            return f"who became leader is read in the nodes' logs, {shown} by a check of the target"
        case LogsLost():
            return f"not all lines of the logs were read: {event.why}"
        case FaultInjected():
            return _injected(event)
        case FaultHealed():
            return _healed(event)
        case AnsweredAgain():
            return _answered_again(event)
        case ChangeAnswered():
            return f"{event.subject} answered that a change of the members is done, entry {event.index}"
        case PhaseStarted():
            return _phase(event)
        case RunEnded():
            late = f", up to {milliseconds(event.max_late_us)} ms late" if event.max_late_us else ""
            return f"the run ended: {event.reason}{late}"
        case _:
            assert_never(event)


# ---- events of several parts -------------------------------------------------------------------------------------


def _answered_again(event: AnsweredAgain) -> str:
    answer = f"refused ({event.error})" if event.refused else f"answered {event.value!r}"
    entry = f", entry {event.index}" if event.index is not None and not event.refused else ""
    return f"{event.op} of {event.client} arrived again: {answer}{entry}"


def _started(event: Started) -> str:
    vote = f"voted for {event.voted_for}" if event.voted_for is not None else "no vote"
    log = f"log up to {event.last_index} {_digits(event.digest)}".rstrip() if event.last_index else "log empty"
    behind = f", from a snapshot up to {event.base_index} on" if event.base_index else ""
    return f"started in term {event.term}, {vote}, {log}{behind}"


def _role_changed(event: RoleChanged) -> str:
    became = f"became {event.role} in term {event.term}"
    if event.leader is not None and event.leader != event.node:
        return f"{became}, leader {event.leader}"
    return f"{became}, leader unknown" if event.role == "follower" else became


def _sampled(event: NodeSampled) -> str:
    return (
        f"{event.subject}#{event.subject_inc} uses {event.cpu_percent:.1f} % CPU, {event.rss_bytes / _MB:.1f} MB, "
        f"{event.open_files} files, {event.threads} threads"
    )


def _injected(event: FaultInjected) -> str:
    # The harness's own text names the nodes already.
    detail = event.detail or ", ".join(event.targets)
    leader = f" (leader {event.leader})" if event.leader is not None else ""
    return f"fault {event.fault} {event.type}{f': {detail}' if detail else ''}{leader}"


def _healed(event: FaultHealed) -> str:
    parts = [
        f"healed {event.fault} {event.type}" + (f": {event.effect}" if event.effect else ""),
        "" if event.effective else "without effect",
        f"moot: {event.moot}" if event.moot else "",
    ]
    return "; ".join(part for part in parts if part)


def _phase(event: PhaseStarted) -> str:
    parts = [
        f"phase {event.phase} begins",
        f"commit target {event.commit_target}" if event.commit_target else "",
        f"owed by {', '.join(event.owed)}" if event.owed else "",
        f"bound {event.bound_us / US_PER_S:g} s" if event.bound_us else "",
        f"owed within {event.within_us / US_PER_S:g} s" if event.within_us else "",
    ]
    return ", ".join(part for part in parts if part)


# ---- client operations -------------------------------------------------------------------------------------------


def _operation(op: Op) -> str:
    if op.type == "invoke":
        return f"invoke {op.op} {op.f} {_value(op.key)}{_written(op)}{_final(op)}{_consistency(op)}"
    # An answered read shows what it read, even if that is nothing.
    answered = op.value is not None or (op.type == "ok" and op.f in ("get", "dequeue"))
    read = f" = {_value(op.value) if op.value is not None or op.f == 'get' else 'empty'}" if answered else ""
    entry = f" at {op.index}" if op.index is not None else ""
    term = f" (term {op.term})" if op.term is not None else ""
    by = f" by {op.node}#{op.inc}" if op.node is not None else ""
    return f"{op.type} {op.op}{read}{entry}{term}{by}{f': {op.error}' if op.error else ''}"


def _final(op: Op) -> str:
    if not op.final:
        return ""
    return " (the queue is emptied)" if op.f == "dequeue" else " (final read)"


def _consistency(op: Op) -> str:
    return f" ({op.consistency})" if op.consistency is not None else ""


def _written(op: Op) -> str:
    match op.f:
        case "put":
            return f" = {_value(op.value)}"
        case "append" | "enqueue":
            return f" + {_value(op.value)}"
        case "cas":
            return f" = {_value(op.value)} if {_value(op.expected)}"
        case "get" | "delete" | "dequeue":
            return ""


def _value(value: Value) -> str:
    """A plain word unchanged, "absent" for no value, JSON for a value that could be misread (blanks, quotes, lists)."""
    if value is None:
        return "absent"
    return value if isinstance(value, str) and value != "absent" and _PLAIN.fullmatch(value) else json_value(value)


def _digits(digest: str) -> str:
    return digest[:SHOWN_DIGITS]


def _where(event: LeaderObserved) -> str:
    """The place of the line that says so, as far as it is known."""
    place = [f"line {event.line} of {event.file}"] if event.file else []
    place += [f"in the log of {event.reporter}"] if event.reporter else []
    return f" ({' '.join(place)})" if place else ""
