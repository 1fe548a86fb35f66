"""Chooses the events before a violation that matter: they show a reader of the paper how it came about.

    chosen = choose(past, witness)      by place: why the event is there, and how much it matters

The search starts at each event of the witness and goes back to its causes (`causes`). It follows the entries of the
witness on every node that takes part, to the point where they were lost. It adds restarts between a node's events, and
faults that were in force at them. `reports.story.story` shows as many of the chosen events as fit.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

from raft_chaos.invariants.events import (
    HARNESS,
    CommitAdvanced,
    EntryAppended,
    EntryApplied,
    Event,
    FaultHealed,
    FaultInjected,
    LogTruncated,
    MessageReceived,
    MessageSent,
    NodeExited,
    PhaseStarted,
    RoleChanged,
    Started,
    VoteGranted,
)
from raft_chaos.invariants.history import Op
from raft_chaos.invariants.trace import concerned
from raft_chaos.reports.story.causes import APPEND_REPLY, CONTEXT, ESSENTIAL, HELPFUL, WITNESS, Causes, Chosen
from raft_chaos.reports.story.happens_before import HappensBefore

SEVERING = ("partition", "clog", "pause")
"""Faults that decide which nodes hear each other; the others are only context."""

LAST_WORDS = 8
"""The number of last events that are shown of a node that ended by itself."""

ELECTIONS_SHOWN = 8
"""The number of last candidacies that are shown of a phase without progress."""


def choose(past: HappensBefore, witness: Sequence[int]) -> dict[int, Chosen]:
    """All events that may be shown, by place: a bounded number for each event of the witness and each node."""
    return _Chooser(past, witness).choose()


class _Chooser(Causes):
    def __init__(self, past: HappensBefore, witness: Sequence[int]) -> None:
        super().__init__(past)
        self.witness = witness

    def choose(self) -> dict[int, Chosen]:
        for place in self.witness:
            self._add(place, "witness", WITNESS)
        begun = next((p for p in self.witness if isinstance(self.items[p], PhaseStarted)), None)
        if begun is not None:
            self._no_progress(begun, max(self.witness))
            self._between()
            return self.chosen
        for place in self.witness:
            self._explain(place)
        self._fates()
        self._between()
        self._faults()
        return self.chosen

    def _explain(self, place: int) -> None:
        """Adds the causes of an event of the witness."""
        match self.items[place]:
            case RoleChanged() as event:
                if event.role == "leader":
                    self._election(place, ESSENTIAL)
                else:
                    self._brought_by(place, None, HELPFUL)
            case VoteGranted():
                self._vote(place, ESSENTIAL)
                self._outcome_of_vote(place)
            case EntryAppended():
                self._entry(place, ESSENTIAL)
            case CommitAdvanced():
                self._commit(place, HELPFUL if self._about_terms() else ESSENTIAL)
            case EntryApplied():
                self._applied(place)
            case LogTruncated():
                self._lost(place, ESSENTIAL)
            case Started():
                self._restart(place, ESSENTIAL)
            case NodeExited() as event:
                self._last_words(place, event)
            case Op() as op:
                self._client(place, op)

    def _about_terms(self) -> bool:
        """Whether a commit is in the witness only because it was the last event to name the node's term."""
        return any(isinstance(self.items[place], Started | VoteGranted) for place in self.witness)

    # ---- what happened to entries ------------------------------------------------------------------------------

    def _fates(self) -> None:
        """Adds the places where a node that takes part lost or replaced an entry of the witness."""
        entries = {
            event.digest: event
            for place in self.witness
            for event in [self.items[place]]
            if isinstance(event, EntryAppended)
        }
        for place in self.witness:
            event = self.items[place]
            if isinstance(event, (EntryApplied, CommitAdvanced)):
                held = self.past.entry_at(event.node, event.index, place)
                if held is not None:
                    entries.setdefault(held.digest, held)
        players = self._players()
        for entry in entries.values():
            for node in players:
                self._fate(node, entry)

    def _fate(self, node: str, entry: EntryAppended, holds: int = HELPFUL) -> None:
        """Adds the places where the node got the entry (with the rank `holds`) and where it lost the entry."""
        held = False
        for place, now in self.past.held(node, entry.index):
            if held and (now is None or now.digest != entry.digest):
                self._lost(place, ESSENTIAL, entry.term)
            held = now is not None and now.digest == entry.digest
            if held:
                self._add(place, "entry", holds)

    def _players(self) -> list[str]:
        """The nodes whose own events or messages are essential so far, in the cluster's order."""
        seen: set[str] = set()  # asked for membership only
        for place, chosen in self.chosen.items():
            if chosen.rank <= ESSENTIAL:
                item = self.items[place]
                seen.update(concerned(item))
                if isinstance(item, MessageReceived):
                    seen.add(item.sender)
        return [node for node in self.past.nodes if node in seen]

    def _restarted(self, node: str, lines: Sequence[int]) -> list[int]:
        """The node's incarnations that take part (by their events, or as a message's sender), except the first."""
        incs = {item.inc for place in lines if not isinstance(item := self.items[place], Op)}
        for place, chosen in self.chosen.items():
            item = self.items[place]
            if isinstance(item, MessageReceived) and item.sender == node and chosen.rank <= ESSENTIAL:
                incs.add(item.sender_inc)
        return sorted(incs)[1:]

    def _between(self) -> None:
        """Adds the restarts between two events of a node, and its changes of role within the term of its votes."""
        for node in self._players():
            lines = sorted(p for p in self.past.own(node) if p in self.chosen)
            for inc in self._restarted(node, lines):
                for place, started in self.past.of(Started):
                    if (started.node, started.inc) == (node, inc):
                        self._restart(place, HELPFUL)
            votes = [p for p in self.witness if p in lines and isinstance(self.items[p], VoteGranted | Started)]
            for place in self.past.own(node, votes[0], votes[-1]) if len(votes) > 1 else []:
                if isinstance(role := self.items[place], RoleChanged) and role.role != "leader":
                    vote = self.items[votes[0]]
                    if isinstance(vote, VoteGranted) and role.term == vote.term:
                        self._add(place, "role", ESSENTIAL)
                        self._brought_by(place, None, HELPFUL)

    def _faults(self) -> None:
        """Adds the faults that were in force on a node at one of its events."""
        healed = {event.fault: place for place, event in self.past.of(FaultHealed)}
        lines = sorted(
            (place, name)
            for place, chosen in self.chosen.items()
            if chosen.rank <= ESSENTIAL
            for name in concerned(self.items[place])
            if name != HARNESS
        )
        for place, fault in self.past.of(FaultInjected):
            until = healed.get(fault.fault, len(self.items))
            under = lines[bisect_left(lines, (place, "")) : bisect_left(lines, (until, ""))]
            if any(name in fault.targets for _, name in under):
                self._add(place, "fault", HELPFUL if fault.type in SEVERING else CONTEXT)
                if fault.type in SEVERING and until < len(self.items):
                    self._add(until, "fault", CONTEXT)

    # ---- the harness and the clients --------------------------------------------------------------------------

    def _last_words(self, place: int, event: NodeExited) -> None:
        """Adds the last events of a node before it ended."""
        for own in self.past.own(event.subject, until=place)[-LAST_WORDS:]:
            self._add(own, "last words", HELPFUL if isinstance(self.items[own], MessageSent) else ESSENTIAL)
        self._add_last(Started, event.subject, place, HELPFUL)

    def _add_last(self, kind: type[Event], node: str, before: int, rank: int) -> None:
        found = self.past.last(kind, node, before)
        if found is not None and found[0] not in self.past.recovered:
            self._add(found[0], "last of its node", rank)

    def _no_progress(self, begun: int, ended: int) -> None:
        """Adds the last progress of each node, the leaders and candidates of the liveness phase, and the last messages
        to the nodes that are behind."""
        phase = self.items[begun]
        assert isinstance(phase, PhaseStarted)
        for node in self.past.nodes:
            applied = self.past.last(EntryApplied, node, ended)
            behind = node in phase.owed and (applied is None or applied[1].index < phase.commit_target)
            self._add_last(EntryApplied, node, ended, ESSENTIAL)
            for kind in (EntryAppended, RoleChanged, CommitAdvanced) if behind else ():
                self._add_last(kind, node, ended, ESSENTIAL)
            if behind:
                self._last_exchange(node, ended)
        roles = [(place, role) for place, role in self.past.of(RoleChanged) if role.role != "follower"]
        for place, role in [one for one in roles if one[1].role == "leader"][-1:]:
            self._led(place, ESSENTIAL)
            if any(isinstance(self.items[place], CommitAdvanced) for place in self.witness):
                self._last_acknowledgements(place, role.node, ended)
        for place in [place for place, _ in roles if place > begun][-ELECTIONS_SHOWN:]:
            self._add(place, "election", HELPFUL)

    def _last_acknowledgements(self, led: int, leader: str, ended: int) -> None:
        """Adds the last entry of a leader that commits nothing new, and the last acknowledgement of each other node."""
        self._add_last(EntryAppended, leader, ended, ESSENTIAL)
        replies = self.past.arrivals(leader, APPEND_REPLY, led, ended)
        for arrival in {reply.sender: arrival for arrival, reply in replies}.values():
            self._add(arrival, "acknowledgement", ESSENTIAL)

    def _last_exchange(self, node: str, ended: int) -> None:
        """Adds the last message that reached a node which is behind, and its reply."""
        heard = self.past.last(MessageReceived, node, ended)
        if heard is None:
            return
        self._add(heard[0], "message", ESSENTIAL)
        self._sender_led(heard[0], ESSENTIAL)
        for place, reply in reversed(self.past.arrivals(heard[1].sender, APPEND_REPLY, -1, ended)):
            if reply.sender == node:
                self._add(place, "message", ESSENTIAL)
                return

    def _client(self, place: int, op: Op) -> None:
        """Adds the whole operation, the entries that its answers name, and other operations of its key."""
        first, last = min(self.witness), max(self.witness)
        for other in self.past.own(op.client):
            line = self.items[other]
            if isinstance(line, Op) and line.op == op.op:
                self._add(other, "client", ESSENTIAL)
                if line.type == "ok" and line.index is not None and line.term is not None:
                    self._entry_of(other, line.index, line.term)
        for other, line in self.past.of(Op):
            if first < other < last and line.key == op.key:
                self._add(other, "client", CONTEXT)
        elected = [leader for leader, role in self.past.of(RoleChanged) if role.role == "leader" and leader < last]
        earlier = [leader for leader in elected if leader < first]
        for leader in elected[max(len(earlier) - 1, 0) :]:
            self._led(leader, HELPFUL)
        for other, fault in self.past.of(FaultInjected):
            if first < other < last and fault.type in (*SEVERING, "kill"):
                self._add(other, "fault", HELPFUL)
        for other, _ in self.past.of(Started):
            if first < other < last:
                self._add(other, "restart", CONTEXT)

    def _entry_of(self, answer: int, index: int, term: int) -> None:
        """Adds the entry of an answer: where it was appended, committed and applied before, and where it was lost."""
        for place in self.past.appended[index]:
            event = self.items[place]
            assert isinstance(event, EntryAppended)
            if event.term == term:
                self._origin(place, HELPFUL)
                for node in self.past.nodes:
                    self._fate(node, event, CONTEXT)
                break
        for place, applied in self.past.of(EntryApplied):
            if (applied.index, applied.term) == (index, term) and place < answer:
                self._add(place, "entry", ESSENTIAL)
                commit = self._first_commit(applied.node, index, place)
                if commit is not None:
                    self._add(commit, "commit", HELPFUL)
                return
