"""Annotations to the events of a story: facts about an event's log, votes and message, from the events before it.

They count what nodes reported: "only 2 of 7 nodes had voted" means that the node cannot have known of another vote by
then. This needs a system that reports its messages.
"""

from __future__ import annotations

from collections.abc import Iterator

from raft_chaos.invariants.causal_order import message_id
from raft_chaos.invariants.events import (
    CommitAdvanced,
    EntryAppended,
    MessageReceived,
    MessageSent,
    PhaseStarted,
    RoleChanged,
    VoteGranted,
)
from raft_chaos.reports.story.causes import APPEND_REPLY, VOTE_REPLY
from raft_chaos.reports.story.happens_before import HappensBefore
from raft_chaos.reports.text import count, milliseconds

LATE_US = 50_000
"""The annotation of a message that took longer gives the time that it took."""


def annotate(past: HappensBefore, place: int, about_logs: bool) -> Iterator[str]:
    """The annotations to the event at `place`. They show the ends of logs only if the story is `about_logs`."""
    match past.items[place]:
        case RoleChanged(role="candidate") | VoteGranted() as event if about_logs:
            yield from _log_end(past, event.node, place, "log")
        case RoleChanged(role="leader") as event if past.traces_messages:
            yield from _too_few_votes(past, place, event)
        case CommitAdvanced() as event:
            entry = past.entry_at(event.node, event.index, place)
            if entry is not None and entry.term != event.term:
                yield f"its entry {entry.index} is of term {entry.term}"
            if entry is not None and past.traces_messages:
                yield from _too_few_copies(past, place, event, entry)
        case MessageReceived() as event:
            yield from _arrival(past, place, event)
            if event.type == VOTE_REPLY:
                yield from _no_vote(past, place, event)
            if event.type == APPEND_REPLY and about_logs and (sent := past.sending(place)) is not None:
                yield from _log_end(past, event.sender, sent, f"{event.sender}'s log")
        case MessageSent() as event if message_id(event) not in past.arrived:
            yield "arrives later" if message_id(event) in past.delivered else "never arrives"
        case PhaseStarted(phase="liveness"):
            after = [role.role for at, role in past.of(RoleChanged) if at > place]
            stood, led = after.count("candidate"), after.count("leader")
            yield f"after it {count(stood, 'candidacy', 'candidacies')}, {count(led, 'election')} won"


def _log_end(past: HappensBefore, node: str, before: int, whose: str) -> Iterator[str]:
    """The last entry of the node's log: it decides votes (§5.4.1) and which entries a reply acknowledges."""
    end = past.log_end(node, before)
    if end is not None:
        yield f"{whose}: up to {end[0]} (term {end[1]})" if end[0] else f"{whose} is empty"


def _too_few_votes(past: HappensBefore, place: int, event: RoleChanged) -> Iterator[str]:
    votes = [vote for at, vote in past.of(VoteGranted) if at < place and vote.term == event.term]
    voters = {vote.node for vote in votes if vote.candidate == event.node}
    if len(voters) < past.majority:
        yield f"only {len(voters)} of {count(len(past.nodes), 'node')} had voted for it in this term"


def _no_vote(past: HappensBefore, place: int, reply: MessageReceived) -> Iterator[str]:
    """A reply to a candidate from a node that had reported no vote for it in that term."""
    stood, sent = past.role(reply.node, place), past.sending(place)
    if stood is None or stood[1].role != "candidate" or sent is None:
        return
    vote = past.last(VoteGranted, reply.sender, sent)
    if vote is None or (vote[1].candidate, vote[1].term) != (reply.node, stood[1].term):
        yield f"{reply.sender} had reported no vote for it in term {stood[1].term}"


def _too_few_copies(past: HappensBefore, place: int, event: CommitAdvanced, entry: EntryAppended) -> Iterator[str]:
    """A leader commits an entry that a majority has (§5.3)."""
    led = past.role(event.node, place)
    if led is None or led[1].role != "leader":
        return
    held = [past.entry_at(node, event.index, place) for node in past.nodes]
    copies = sum(other is not None and other.digest == entry.digest for other in held)
    if copies < past.majority:
        yield f"only {copies} of {count(len(past.nodes), 'node')} had the entry"


def _arrival(past: HappensBefore, place: int, event: MessageReceived) -> Iterator[str]:
    sent = past.sending(place)
    took_us = 0 if sent is None else event.t_us - past.items[sent].t_us
    if took_us > LATE_US:
        yield f"took {milliseconds(took_us)} ms"
    if past.arrived[message_id(event)] < place:
        yield "for the second time"
        return
    earlier = past.arrivals(event.node, event.type, -1, place)
    newest = max(
        (e.number for _, e in earlier if (e.sender, e.sender_inc) == (event.sender, event.sender_inc)), default=0
    )
    if newest > event.number:
        yield f"overtaken by #{newest}"
