"""Whether the saved lines of a run can be true together, before anything is judged from them.

A line that is doubled, lost or moved by an accident can make a correct cluster look wrong. These rules hold for every
run, whatever the cluster does, so lines that break one are damaged, and the run is unknown:

- the file `order` counts no line that is not there;
- the history is one: each process has one operation open at a time, and times never go back;
- the harness's times never go back;
- an incarnation reports `started` first, and once; it numbers its messages upwards, and times of messages it sent never
  go back;
- a message that arrived was sent before, by the node and to the node that the two lines name.

One damage for which no rule can tell is a value that is replaced by another plausible one, such as one digit of a
digest. Where the run has a seal, or can be executed again, that tells.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from raft_chaos.invariants.events import HARNESS, AnyEvent, MessageReceived, MessageSent, Started
from raft_chaos.invariants.history import Op
from raft_chaos.invariants.linearizability.readers.history_file import HistoryError
from raft_chaos.invariants.linearizability.readers.jsonl import history_of
from raft_chaos.invariants.rundir import RunDir

MOST = 5
"""How many contradictions are named."""


def contradictions(
    run: RunDir, harness: Sequence[AnyEvent], streams: Sequence[Sequence[AnyEvent]], history: Sequence[Op]
) -> list[str]:
    """The first few lines that cannot be true: file, line, and why. The arguments are the files' decoded lines."""
    found = [*_in_order(run, harness, streams, history), *_in_history(run, history), *_in_harness(run, harness)]
    incarnations = [one for stream in streams for one in _incarnations(run, stream)]
    sent = {
        (event.node, event.inc, event.number): event
        for _, events in incarnations
        for event in events
        if isinstance(event, MessageSent)
    }
    reporters = {(node, inc) for node, inc, _ in sent}
    for file, events in incarnations:
        found += _in_incarnation(file, events)
        found += _in_arrivals(file, events, sent, reporters)
    return found[:MOST]


def _incarnations(run: RunDir, stream: Sequence[AnyEvent]) -> Iterator[tuple[str, list[AnyEvent]]]:
    """A node's events by incarnation, each with the name of its file."""
    by_inc: dict[int, list[AnyEvent]] = {}
    for event in stream:
        by_inc.setdefault(event.inc, []).append(event)
    for inc, events in by_inc.items():
        yield str(run.node_events(events[0].node, inc)), events


def _in_order(
    run: RunDir, harness: Sequence[AnyEvent], streams: Sequence[Sequence[AnyEvent]], history: Sequence[Op]
) -> list[str]:
    """The streams that have fewer lines than `order` counts. Whoever writes a run writes lines before their order."""
    there = Counter(f"{event.node}/{event.inc}" for stream in streams for event in stream)
    there |= {HARNESS: len(harness), "history": len(history)}
    return [
        f"{run.order}: counts {count} lines of {stream}, but there are {there[stream]}"
        for stream, count in run.counted().items()
        if there[stream] < count
    ]


def _in_history(run: RunDir, history: Sequence[Op]) -> list[str]:
    if not history:
        return []
    try:
        history_of(str(run.history), enumerate(history, 1))
    except HistoryError as error:
        return [str(error)]
    return []


def _in_harness(run: RunDir, harness: Sequence[AnyEvent]) -> list[str]:
    last_us = 0
    for line, event in enumerate(harness, 1):
        if event.t_us < last_us:
            return [f"{run.harness}:{line}: its time is {event.t_us}, but the line before is of {last_us}"]
        last_us = event.t_us
    return []


def _in_incarnation(file: str, events: Sequence[AnyEvent]) -> list[str]:
    """The first contradiction among the lines of one file."""
    number, last_us = 0, 0
    for line, event in enumerate(events, 1):
        if isinstance(event, Started) is not (line == 1):
            return [f"{file}:{line}: expected `started` as the first line, and only there"]
        if isinstance(event, MessageSent):
            if event.number <= number:
                return [f"{file}:{line}: message {event.number} was sent after message {number}"]
            if event.t_us < last_us:
                return [f"{file}:{line}: its time is {event.t_us}, but the message before was sent at {last_us}"]
            number, last_us = event.number, event.t_us
    return []


def _in_arrivals(
    file: str,
    events: Sequence[AnyEvent],
    sent: dict[tuple[str, int, int], MessageSent],
    reporters: set[tuple[str, int]],
) -> list[str]:
    """The first message that arrived in this incarnation, but was not sent to it. Some systems report no messages."""
    for line, event in enumerate(events, 1):
        if isinstance(event, MessageReceived) and (event.sender, event.sender_inc) in reporters:
            origin = sent.get((event.sender, event.sender_inc, event.number))
            if origin is None or (origin.to, origin.type) != (event.node, event.type):
                return [
                    f"{file}:{line}: {event.type} {event.number} of {event.sender}, incarnation {event.sender_inc}, "
                    "arrived, but was never sent"
                ]
    return []
