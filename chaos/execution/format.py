"""Formats a step of a node as text: one line for its input, and below it what the node did.

    n2 receives from n1: RequestVote term 1, last none
      writes: term 1, vote n1
    n2 persists
      voted for n1 in term 1
      to n1: RequestVoteReply term 1, granted

The lines below the first are in the order in which a node acts: report, send, write, answer. A message is shown once,
with its contents, and not again as an event.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby

from raft_chaos.chaos.execution.player import Frame
from raft_chaos.chaos.execution.step_result import StepResult
from raft_chaos.invariants.events import (
    CommitAdvanced,
    ConfigurationUsed,
    EntryAppended,
    EntryApplied,
    Event,
    LogTruncated,
    PreVoteStarted,
    RoleChanged,
    SnapshotInstalled,
    SnapshotRestored,
    SnapshotTaken,
    Started,
    VoteGranted,
)
from raft_chaos.raft.replica.output import Reply
from raft_chaos.raft.state.messages import (
    Append,
    AppendEntries,
    AppendEntriesReply,
    Committed,
    FileRecord,
    HardState,
    InstallSnapshot,
    InstallSnapshotReply,
    LogBase,
    Message,
    PreVote,
    PreVoteReply,
    Record,
    RequestVote,
    RequestVoteReply,
    SaveSnapshot,
    TimeoutNow,
    Truncate,
)

SHOWN_TERMS = 12
"""At most this many terms in a row are shown one by one."""


def step(done: StepResult) -> list[str]:
    """The lines of a step: its input, then what the node did."""
    if done.received is None:
        lines = [f"{done.node} {done.input}"]
    else:
        how = "receives with flipped bits" if done.is_corrupted else "receives"
        lines = [f"{done.node} {how} from {done.received.sender}: {message(done.received.message)}"]
    if done.end:
        return [f"{lines[0]}; {done.end}"]
    assert done.report is not None
    did = events(done.report.events) + _sends(done.sent, "") + _sends(done.lost, ", lost")
    if done.written:
        did.append(f"writes: {records(done.written)}")
    did += [_answer(reply) for reply in done.report.replies]
    if not done.report.accepted:
        did.append(f"refuses, leader {done.report.leader or 'unknown'}")
    return lines + [f"  {line}" for line in did]


def message(said: Message) -> str:
    """A message with its contents."""
    start = f"{type(said).__name__} term {said.term}, "
    match said:
        case RequestVote():
            why = ", its leader hands over" if said.transfer else ""
            return start + f"last {_entry(said.last_log_index, said.last_log_term)}{why}"
        case TimeoutNow():
            return start + "stand for election"
        case RequestVoteReply():
            return start + ("granted" if said.vote_granted else "refused")
        case PreVote():
            return start + f"would you vote for me, last {_entry(said.last_log_index, said.last_log_term)}"
        case PreVoteReply():
            return start + ("I would" if said.granted else "refused")
        case AppendEntries():
            terms = [entry.term for entry in said.entries]
            what = entries(said.prev_log_index + 1, terms) if terms else "no entries"
            prev = _entry(said.prev_log_index, said.prev_log_term)
            return start + f"{what} after {prev}, commit {said.leader_commit}"
        case AppendEntriesReply():
            return start + _append_reply(said)
        case InstallSnapshot():
            last = _entry(said.last_included_index, said.last_included_term)
            return start + f"up to {last}, bytes {said.offset}-{said.offset + len(said.data)} of {said.size}"
        case InstallSnapshotReply():
            has = "done" if said.done else f"has {said.offset} bytes"
            return start + f"up to {said.last_included_index}, {has}"


def _append_reply(said: AppendEntriesReply) -> str:
    if said.success:
        return f"matches up to {said.match_index}"
    if not said.rejected_index:
        return "refused"
    where = f"no match at {said.rejected_index}, "
    if said.conflict_term:
        return where + f"where term {said.conflict_term} begins at {said.conflict_index}"
    return where + f"log ends at {said.conflict_index - 1}"


def events(reported: Iterable[Event]) -> list[str]:
    """The events that a node reports. Consecutive entries make one line; messages are left out."""
    lines: list[str] = []
    for kind, group in groupby(reported, key=type):
        if kind is EntryAppended or kind is EntryApplied:
            row = [event for event in group if isinstance(event, EntryAppended | EntryApplied)]
            verb = "appended" if kind is EntryAppended else "applied"
            lines.append(f"{verb} {entries(row[0].index, [event.term for event in row])}")
        else:
            lines += [line for event in group if (line := _event(event))]
    return lines


def _event(event: Event) -> str:
    match event:
        case Started():
            vote = f"voted for {event.voted_for}" if event.voted_for is not None else "no vote"
            return f"started in term {event.term}, {vote}, log {_up_to(event.last_index)}" + (
                f", a snapshot up to {event.base_index}" if event.base_index else ""
            )
        case RoleChanged():
            leader = f", leader {event.leader or 'unknown'}" if event.role == "follower" else ""
            return f"became {event.role} in term {event.term}{leader}"
        case PreVoteStarted():
            return f"asks for pre-votes of term {event.term}"
        case VoteGranted():
            return f"voted for {event.candidate} in term {event.term}"
        case ConfigurationUsed():
            return f"uses configuration {event.index}: {event.members}"
        case LogTruncated():
            return f"truncates its log from {event.from_index} on"
        case CommitAdvanced():
            return f"committed up to {event.index}"
        case SnapshotTaken():
            return f"took a snapshot up to {_entry(event.index, event.term)}"
        case SnapshotInstalled():
            return f"installed a snapshot up to {_entry(event.index, event.term)}"
        case SnapshotRestored():
            return f"restored the state of the snapshot up to {_entry(event.index, event.term)}"
        case _:
            return ""


def records(written: Sequence[Record | FileRecord]) -> str:
    """The records of one write. Consecutive entries are shown together."""
    parts: list[str] = []
    for kind, group in groupby(written, key=type):
        if kind is Append:
            row = [record for record in group if isinstance(record, Append)]
            parts.append(entries(row[0].index, [record.entry.term for record in row]))
        else:
            parts += map(_record, group)
    return "; ".join(parts)


def _record(record: Record | FileRecord) -> str:
    match record:
        case HardState():
            return f"term {record.term}, {f'vote {record.voted_for}' if record.voted_for is not None else 'no vote'}"
        case Truncate():
            return f"truncation from {record.from_index} on"
        case Append():
            return entries(record.index, [record.entry.term])
        case Committed():
            return f"committed up to {record.index}"
        case LogBase():
            return f"a log behind {_entry(record.index, record.term)}"
        case SaveSnapshot(snapshot=snapshot):
            terms = [entry.term for entry in record.entries]
            behind = f", {entries(snapshot.index + 1, terms)} behind it" if terms else ""
            return f"snapshot up to {_entry(snapshot.index, snapshot.term)}, {len(snapshot.data)} bytes{behind}"


def entries(first_index: int, terms: Sequence[int]) -> str:
    """Consecutive entries by index and term: "entry 4 (term 2)", "entries 4-6 (terms 2 2 3)", or for many entries
    "entries 1-63 (terms 1 x 62, 2 x 1)"."""
    if len(terms) == 1:
        return f"entry {_entry(first_index, terms[0])}"
    shown = " ".join(map(str, terms))
    if len(terms) > SHOWN_TERMS:
        shown = ", ".join(f"{term} x {len(list(row))}" for term, row in groupby(terms))
    return f"entries {first_index}-{first_index + len(terms) - 1} (terms {shown})"


def _entry(index: int, term: int) -> str:
    return f"{index} (term {term})" if index else "none"


def _up_to(index: int) -> str:
    return f"up to {index}" if index else "empty"


def _sends(frames: Sequence[Frame], fate: str) -> list[str]:
    """One line for all receivers of the same message."""
    lines = []
    for said, group in groupby(frames, key=lambda frame: message(frame.message)):
        lines.append(f"to {' '.join(frame.to for frame in group)}: {said}{fate}")
    return lines


def read(reply: Reply) -> str:
    """What an answered read without a log entry says."""
    assert reply.result is not None
    value = reply.result.value
    shown = " ".join(value) if isinstance(value, list) else value
    return f"{'nothing' if shown is None else shown}, applied up to {reply.index}"


def _answer(reply: Reply) -> str:
    if reply.result is None:
        return f"answers {reply.token}: {'refused' if reply.is_read else 'unknown'}, it no longer leads"
    if reply.is_read:
        return f"answers {reply.token}: {read(reply)}"
    return f"answers {reply.token}: {'done' if reply.result.ok else reply.result.error}"
