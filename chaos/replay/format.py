"""Formats a turn and the state of a node as text: one line per input, per output, and per part of the state."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby

from raft_chaos.chaos.execution import format
from raft_chaos.invariants.events import MALFORMED
from raft_chaos.raft.core import Core
from raft_chaos.raft.replica.command import decode_command
from raft_chaos.raft.replica.inputs import Input, Persisted, ReadAsked, Received, Submitted, Ticked, TransferAsked
from raft_chaos.raft.replica.output import Output
from raft_chaos.raft.state.configuration import decode_change

LAST_ENTRIES = 5


def took(inputs: Iterable[Input]) -> list[str]:
    """The inputs of a turn, in order."""
    return [_input(given) for given in inputs]


def _input(given: Input) -> str:
    match given:
        case Received(sender, sender_inc, number, message):
            return f"receives #{number} from {sender}#{sender_inc}: {format.message(message)}"
        case Ticked():
            return "its timer fires"
        case Persisted(lsn):
            return f"its write up to record {lsn} is durable"
        case Submitted(command):
            return f"a client's command: {_command(command)}"
        case ReadAsked(read):
            return f"a client's read: {read.key} ({read.consistency})"
        case TransferAsked(target):
            return f"is to hand over to {target or 'whom it chooses'}"


def _command(encoded: bytes) -> str:
    try:
        if (change := decode_change(encoded)) is not None:
            return str(change)
        command = decode_command(encoded)
    except MALFORMED:
        return repr(encoded)
    words = (command.op, command.key, command.expected, command.value)
    return " ".join(word for word in words if word is not None)


def did(output: Output) -> list[str]:
    """The output of a turn, in the order in which a host carries it out."""
    lines = format.events(output.events)
    for message, group in groupby(output.messages, key=lambda sent: format.message(sent[1])):
        lines.append(f"to {' '.join(to for to, _ in group)}: {message}")
    if output.write is not None:
        lines.append(f"writes up to record {output.write.lsn}: {format.records(output.write.records)}")
    for reply in output.replies:
        if reply.is_read:
            lines.append(f"answers a read: {'refused' if reply.result is None else format.read(reply)}")
            continue
        how = "unknown, it no longer leads" if reply.result is None else reply.result.error or "done"
        lines.append(f"answers the client of entry {reply.index} (term {reply.term}): {how}")
    return lines


def state(core: Core) -> list[str]:
    """The node's role, term, vote, log and commit index, and for a leader its followers."""
    log = core.log
    vote = core.voted_for if core.voted_for is not None else "nobody"
    lines = [
        f"{core.role} in term {core.current_term}, voted for {vote}, leader {core.leader or 'unknown'}",
        f"log: {_tail(core)}; durable up to {log.durable_index}",
        f"committed up to {core.commit_index}, applied up to {core.last_applied}",
    ]
    if core.role == "leader":
        lines += [
            f"of {peer}: matches up to {known.match_index}, next {known.next_index}{', probing' * known.probing}"
            for peer, known in core.progress.items()
        ]
    return lines


def _tail(core: Core) -> str:
    last = core.log.last_index
    base = core.log.base_index
    first = max(base + 1, last - LAST_ENTRIES + 1)
    terms: Sequence[int] = [core.log.term_at(index) for index in range(first, last + 1)]
    begins = f"snapshot up to {base} (term {core.log.base_term}), " if base else ""
    if not terms:
        return begins + "empty" + " behind it" * bool(base)
    return f"{begins}{'... ' if first > base + 1 else ''}{format.entries(first, terms)}"
