"""Which of the events before a violation matter: those that a reader of the paper needs to see how it came about.

    chosen = choose(past, witness)      by place: why the event is there, and how much it matters

From each event of the witness one goes back to what made it possible: from a leader to its votes, from a vote to the
candidacy, from a commit to the acknowledgements and the entries behind them, from an entry to the leader that had it
first. The entries that the witness speaks of are followed on every node that plays a part, up to where they got lost.
Restarts and faults are added where they lie between, or over, the lines of a node.

The nearest causes are essential, what led to these helps, the rest is context. `reports.story` shows as much as fits.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from invariants.events import (
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
    NodeKilled,
    NodeLaunched,
    PhaseStarted,
    RoleChanged,
    Started,
    VoteGranted,
)
from invariants.history import Op
from invariants.trace import concerned
from reports.past import Past

WITNESS, ESSENTIAL, HELPFUL, CONTEXT = range(4)
"""How much a line matters; the lower, the more."""

REQUEST_VOTE, VOTE_REPLY = "RequestVote", "RequestVoteReply"
APPEND, APPEND_REPLY = "AppendEntries", "AppendEntriesReply"

SEVERING = ("partition", "clog", "pause")
"""Faults that decide who hears whom; the others are weather."""

LAST_WORDS = 8
"""So many of its last events are shown of a node that ended by itself."""

ELECTIONS_SHOWN = 8
"""So many of the last candidacies are shown of a phase without progress."""


@dataclass(frozen=True)
class Chosen:
    """Why an event is in the story, in a word, and its rank: WITNESS, ESSENTIAL, HELPFUL or CONTEXT."""

    why: str
    rank: int


def choose(past: Past, witness: Sequence[int]) -> dict[int, Chosen]:
    """By place, all that may be told; a bounded number of events for each of the witness and each node."""
    return _Chooser(past, witness).choose()


class _Chooser:
    def __init__(self, past: Past, witness: Sequence[int]) -> None:
        self.past = past
        self.items = past.items
        self.witness = witness
        self.chosen: dict[int, Chosen] = {}
        self._followed: set[tuple[str, int]] = set()  # what was gone into already; asked for membership only

    def choose(self) -> dict[int, Chosen]:
        for place in self.witness:
            self._add(place, "witness", WITNESS)
        begun = next((p for p in self.witness if isinstance(self.items[p], PhaseStarted)), None)
        if begun is not None:
            self._no_progress(begun, max(self.witness))
            return self.chosen
        for place in self.witness:
            self._explain(place)
        self._fates()
        self._between()
        self._faults()
        return self.chosen

    def _add(self, place: int, why: str, rank: int) -> None:
        known = self.chosen.get(place)
        if rank <= CONTEXT and (known is None or rank < known.rank):
            self.chosen[place] = Chosen(why, rank)

    def _new(self, what: str, place: int) -> bool:
        """Whether this is the first time that one goes into it."""
        new = (what, place) not in self._followed
        self._followed.add((what, place))
        return new

    def _explain(self, place: int) -> None:
        """What made an event of the witness possible."""
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
        """Whether a commit is in the witness only because it was the last to name the node's term."""
        return any(isinstance(self.items[place], Started | VoteGranted) for place in self.witness)

    # ---- messages ---------------------------------------------------------------------------------------------

    def _brought_by(self, place: int, type: str | None, rank: int, sender: str | None = None) -> int | None:
        arrival = self.past.brought_by(place, type, sender)
        if arrival is not None:
            self._add(arrival, "message", rank)
        return arrival

    def _sender_led(self, arrival: int, rank: int) -> None:
        """The election of the leader that sent this AppendEntries."""
        event = self.items[arrival]
        assert isinstance(event, MessageReceived)
        sent = self.past.sending(arrival)
        led = self.past.role(event.sender, arrival if sent is None else sent)
        if led is not None and led[1].role == "leader":
            self._led(led[0], rank)

    # ---- elections (§5.2) -------------------------------------------------------------------------------------

    def _candidacy(self, node: str, term: int, before: int, rank: int) -> int | None:
        """Where the node stood in that term."""
        for place in reversed(self.past.own(node, until=before)):
            item = self.items[place]
            if isinstance(item, RoleChanged) and item.role == "candidate" and item.term <= term:
                if item.term == term:
                    self._add(place, "candidate", rank)
                    return place
                return None
        return None

    def _led(self, leader: int, rank: int) -> None:
        """That it was elected, without the votes."""
        event = self.items[leader]
        assert isinstance(event, RoleChanged)
        self._add(leader, "leader", rank)
        self._candidacy(event.node, event.term, leader, rank + 1)

    def _election(self, leader: int, rank: int) -> None:
        """Candidacy, votes and the replies that had arrived when the leader was elected.

        A majority should have voted; where it did not, every reply that can have been counted is shown, with what its
        sender had said of its vote.
        """
        event = self.items[leader]
        assert isinstance(event, RoleChanged)
        self._add(leader, "leader", rank)
        if not self._new("election", leader):
            return
        stood = self._candidacy(event.node, event.term, leader, rank)
        votes = {
            vote.node: place
            for place, vote in self.past.of(VoteGranted)
            if vote.term == event.term and vote.candidate == event.node != vote.node and place < leader
        }
        for place in votes.values():
            self._vote(place, rank)
        replies = self.past.arrivals(event.node, VOTE_REPLY, -1 if stood is None else stood, leader)
        counted: dict[str, int] = {}
        for place, reply in replies:
            sent = self.past.sending(place)
            if reply.sender in votes and (sent is None or votes[reply.sender] < sent):
                counted.setdefault(reply.sender, place)
        if 1 + len(counted) < self.past.majority:
            for place, reply in replies:
                if reply.sender not in counted:
                    counted[reply.sender] = place
                    self._said_of_vote(place, reply, event.node, rank)
        for place in counted.values():
            self._add(place, "vote reply", rank)

    def _said_of_vote(self, place: int, reply: MessageReceived, candidate: str, rank: int) -> None:
        """The last vote of whoever sent this reply, for that candidate or for another."""
        sent = self.past.sending(place)
        vote = self.past.last(VoteGranted, reply.sender, place if sent is None else sent)
        if vote is not None:
            self._vote(vote[0], rank if vote[1].candidate == candidate else rank + 1)

    def _vote(self, place: int, rank: int) -> None:
        vote = self.items[place]
        assert isinstance(vote, VoteGranted)
        self._add(place, "vote", rank)
        if not self._new("vote", place):
            return
        asked = self._brought_by(place, REQUEST_VOTE, rank + 1, vote.candidate) if vote.candidate != vote.node else None
        sent = self.past.sending(asked) if asked is not None else None
        self._candidacy(vote.candidate, vote.term, place + 1 if sent is None else sent, rank)

    def _outcome_of_vote(self, place: int) -> None:
        """Whether the candidate won, if that is known by then."""
        vote = self.items[place]
        assert isinstance(vote, VoteGranted)
        for leader, event in self.past.of(RoleChanged):
            if event.role == "leader" and (event.node, event.term) == (vote.candidate, vote.term):
                self._add(leader, "leader", HELPFUL)

    # ---- entries (§5.3) ---------------------------------------------------------------------------------------

    def _entry(self, place: int, rank: int) -> None:
        """An entry in a log: what brought it there, and the leader that had it first."""
        event = self.items[place]
        assert isinstance(event, EntryAppended)
        if place in self.past.recovered:
            started = self.past.last(Started, event.node, place)
            if started is not None:
                self._restart(started[0], rank)
            place = next(
                (p for p in reversed(self.past.appended[event.index]) if self._same(p, event) and p < place), place
            )
        self._add(place, "entry", rank)
        if not self._new("entry", place):
            return
        origin = next((p for p in self.past.appended[event.index] if self._same(p, event, anywhere=True)), place)
        self._origin(origin, rank + 1 if origin != place else rank)
        led = self.past.role(event.node, place)
        if led is None or led[1].role != "leader":
            arrival = self._brought_by(place, APPEND, rank + 1)
            if arrival is not None:
                self._sender_led(arrival, rank + 1)

    def _same(self, place: int, event: EntryAppended, anywhere: bool = False) -> bool:
        other = self.items[place]
        assert isinstance(other, EntryAppended)
        return other.digest == event.digest and (anywhere or other.node == event.node)

    def _origin(self, place: int, rank: int) -> None:
        """Where the entry was appended first: by the leader of its term, unless a follower was faster to disk."""
        event = self.items[place]
        assert isinstance(event, EntryAppended)
        self._add(place, "entry", rank)
        for leader, role in self.past.of(RoleChanged):
            if role.role == "leader" and role.term == event.term and leader < place:
                self._led(leader, rank)

    def _lost(self, place: int, rank: int) -> None:
        """A log that was cut, or that a restart found shorter: what made the node do it."""
        event = self.items[place]
        assert not isinstance(event, Op)
        self._add(place, "lost", rank)
        if not self._new("lost", place):
            return
        if isinstance(event, Started):
            self._restart(place, rank)
            return
        stepped = self.past.last(RoleChanged, event.node, place, event.inc)
        if stepped is not None and stepped[1].t_us == event.t_us:
            self._add(stepped[0], "role", rank)
        arrival = self._brought_by(place, None, rank)
        if arrival is not None:
            self._sender_led(arrival, rank + 1)

    # ---- commitment (§5.3, §5.4) ------------------------------------------------------------------------------

    def _commit(self, place: int, rank: int) -> None:
        """A leader commits what a majority acknowledged, a follower what its leader says."""
        event = self.items[place]
        assert isinstance(event, CommitAdvanced)
        self._add(place, "commit", rank)
        if not self._new("commit", place):
            return
        led = self.past.role(event.node, place)
        if led is not None and led[1].role == "leader":
            self._led(led[0], rank + 1)
            self._acknowledged(place, event, led[0], rank)
            return
        arrival = self._brought_by(place, APPEND, rank + 1)
        if arrival is None:
            return
        self._sender_led(arrival, rank + 1)
        message, sent = self.items[arrival], self.past.sending(arrival)
        assert isinstance(message, MessageReceived)
        known = self._first_commit(message.sender, event.index, arrival if sent is None else sent)
        if known is not None:
            self._commit(known, rank + 1)
            self._add(known, "commit", rank)

    def _first_commit(self, node: str, index: int, before: int) -> int | None:
        """Where the incarnation that spoke committed up to the index, or as far as it got."""
        found = None
        for place in reversed(self.past.own(node, until=before)):
            item = self.items[place]
            if isinstance(item, Started):
                break
            if isinstance(item, CommitAdvanced):
                if found is not None and item.index < index:
                    break
                found = place
        return found

    def _acknowledged(self, place: int, event: CommitAdvanced, led: int, rank: int) -> None:
        """The replies with which a majority held the entry; where there are too few, all that can have been counted."""
        entry = self.past.entry_at(event.node, event.index, place)
        own = self._add_own_entry(event.node, entry, place, rank) if entry is not None else None
        replies = self.past.arrivals(event.node, APPEND_REPLY, led, place)
        counted: dict[str, int] = {}
        for arrival, reply in replies:
            sent = self.past.sending(arrival)
            stored = self._stored(reply.sender, event.index, entry, arrival if sent is None else sent)
            if stored is not None and len(counted) + 1 < self.past.majority and reply.sender not in counted:
                counted[reply.sender] = arrival
                self._entry(stored, rank + (own is not None))
        if 1 + len(counted) < self.past.majority:
            for arrival, reply in reversed(replies):
                counted.setdefault(reply.sender, arrival)
        for arrival in counted.values():
            self._add(arrival, "acknowledgement", rank)

    def _add_own_entry(self, node: str, entry: EntryAppended, before: int, rank: int) -> int | None:
        """Where the leader itself appended what it commits."""
        for place in reversed(self.past.appended[entry.index]):
            event = self.items[place]
            assert isinstance(event, EntryAppended)
            if place < before and event.node == node and event.digest == entry.digest:
                self._add(place, "entry", rank)
                return place
        return None

    def _stored(self, node: str, index: int, entry: EntryAppended | None, before: int) -> int | None:
        """Where the node appended the same entry, if it had it then."""
        change = next(((at, held) for at, held in reversed(self.past.held(node, index)) if at < before), None)
        if change is None or change[1] is None or (entry is not None and change[1].digest != entry.digest):
            return None
        return change[0]

    def _applied(self, place: int) -> None:
        """What was applied was committed, and an entry of that node's log."""
        event = self.items[place]
        assert isinstance(event, EntryApplied)
        commit = self._first_commit(event.node, event.index, place)
        if commit is not None:
            self._commit(commit, ESSENTIAL)
        held = next((at for at, entry in reversed(self.past.held(event.node, event.index)) if at < place), None)
        if held is not None and isinstance(self.items[held], EntryAppended):
            self._entry(held, ESSENTIAL)

    # ---- what became of it all --------------------------------------------------------------------------------

    def _fates(self) -> None:
        """Where a node that plays a part lost, or replaced, an entry that the witness speaks of."""
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
        """Where the node got the entry, which ranks as `holds`, and where it lost it."""
        held = False
        for place, now in self.past.held(node, entry.index):
            if held and (now is None or now.digest != entry.digest):
                self._lost(place, ESSENTIAL)
            held = now is not None and now.digest == entry.digest
            if held:
                self._add(place, "entry", holds)

    def _players(self) -> list[str]:
        """The nodes whose own lines matter so far, in the cluster's order."""
        seen = {
            name for place, c in self.chosen.items() if c.rank <= ESSENTIAL for name in concerned(self.items[place])
        }
        return [node for node in self.past.nodes if node in seen]

    def _restart(self, place: int, rank: int) -> None:
        started = self.items[place]
        assert isinstance(started, Started)
        self._add(place, "restart", rank)
        for killed, event in self.past.of(NodeKilled):
            if event.subject == started.node and event.subject_inc == started.inc - 1:
                self._add(killed, "restart", rank)
        for launched, launch in self.past.of(NodeLaunched):
            if launch.subject == started.node and launch.subject_inc == started.inc > 1:
                self._add(launched, "restart", CONTEXT)

    def _between(self) -> None:
        """What lies between two lines of a node: a restart, or a change of its role within the term of its votes."""
        for node in self._players():
            lines = sorted(p for p in self.past.own(node) if p in self.chosen)
            for earlier, later in pairwise(lines):
                before, after = self.items[earlier], self.items[later]
                assert not isinstance(before, Op) and not isinstance(after, Op)
                if before.inc != after.inc:
                    started = self.past.last(Started, node, later + 1, after.inc)
                    if started is not None:
                        self._restart(started[0], HELPFUL)
            votes = [p for p in self.witness if p in lines and isinstance(self.items[p], VoteGranted | Started)]
            for place in self.past.own(node, votes[0], votes[-1]) if len(votes) > 1 else []:
                if isinstance(role := self.items[place], RoleChanged) and role.role != "leader":
                    vote = self.items[votes[0]]
                    if isinstance(vote, VoteGranted) and role.term == vote.term:
                        self._add(place, "role", ESSENTIAL)
                        self._brought_by(place, None, HELPFUL)

    def _faults(self) -> None:
        """The faults that were in force on a node at one of its lines."""
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
        """The last that a node said before it ended."""
        for own in self.past.own(event.subject, until=place)[-LAST_WORDS:]:
            self._add(own, "last words", HELPFUL if isinstance(self.items[own], MessageSent) else ESSENTIAL)
        self._add_last(Started, event.subject, place, HELPFUL)

    def _add_last(self, kind: type[Event], node: str, before: int, rank: int) -> None:
        found = self.past.last(kind, node, before)
        if found is not None:
            self._add(found[0], "last of its node", rank)

    def _no_progress(self, begun: int, ended: int) -> None:
        """How far each node got; who led, or stood in vain, in the liveness phase; what reached those behind last."""
        phase = self.items[begun]
        assert isinstance(phase, PhaseStarted)
        for node in self.past.nodes:
            applied = self.past.last(EntryApplied, node, ended)
            behind = node in phase.owed and (applied is None or applied[1].index < phase.commit_target)
            self._add_last(EntryApplied, node, ended, ESSENTIAL)
            for kind in (EntryAppended, RoleChanged, CommitAdvanced):
                self._add_last(kind, node, ended, ESSENTIAL if behind else CONTEXT)
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
        """What the leader, which commits nothing new, had last and was last told that others have."""
        self._add_last(EntryAppended, leader, ended, ESSENTIAL)
        replies = self.past.arrivals(leader, APPEND_REPLY, led, ended)
        for arrival in {reply.sender: arrival for arrival, reply in replies}.values():
            self._add(arrival, "acknowledgement", ESSENTIAL)

    def _last_exchange(self, node: str, ended: int) -> None:
        """The last message that reached a node which is behind, and what came back."""
        heard = self.past.last(MessageReceived, node, ended)
        if heard is None:
            return
        self._add(heard[0], "message", ESSENTIAL)
        self._sender_led(heard[0], ESSENTIAL)
        for place, reply in reversed(self.past.arrivals(heard[1].sender, APPEND_REPLY, heard[0], ended)):
            if reply.sender == node:
                self._add(place, "message", ESSENTIAL)
                return

    def _client(self, place: int, op: Op) -> None:
        """The whole operation, the entries that its answers name, and other operations of its key."""
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

    def _entry_of(self, answer: int, index: int, term: int) -> None:
        """The entry behind an answer: appended, committed and applied before it, and where it was lost."""
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
