"""The causes of an event, by the rules of the paper. Each method goes back one step:

from a leader to its votes, from a vote to the candidacy, from a commit to the acknowledgements and their entries,
from an entry to the leader that had it first, from a truncated log to the message that truncated it.

Each cause gets a rank: the nearest ones are essential, their own causes are helpful, the rest is context.
"""

from __future__ import annotations

from dataclasses import dataclass

from raft_chaos.invariants.events import (
    CommitAdvanced,
    EntryAppended,
    EntryApplied,
    MessageReceived,
    NodeKilled,
    NodeLaunched,
    RoleChanged,
    Started,
    VoteGranted,
)
from raft_chaos.invariants.history import Op
from raft_chaos.reports.story.happens_before import HappensBefore

WITNESS, ESSENTIAL, HELPFUL, CONTEXT = range(4)
"""How much an event matters; a lower number matters more. Events that rank below CONTEXT are dropped."""

REQUEST_VOTE, VOTE_REPLY = "RequestVote", "RequestVoteReply"
APPEND, APPEND_REPLY = "AppendEntries", "AppendEntriesReply"


@dataclass(frozen=True)
class Chosen:
    """The reason why an event is in the story, in one word, and its rank: WITNESS, ESSENTIAL, HELPFUL or CONTEXT."""

    why: str
    rank: int


class Causes:
    """The causes found so far, by place, and the steps that find more. `rank` is the rank of the event in question."""

    def __init__(self, past: HappensBefore) -> None:
        self.past = past
        self.items = past.items
        self.chosen: dict[int, Chosen] = {}
        self._followed: dict[tuple[str, int], int] = {}  # the steps made so far, and the rank of each

    def _add(self, place: int, why: str, rank: int) -> None:
        known = self.chosen.get(place)
        if rank <= CONTEXT and (known is None or rank < known.rank):
            self.chosen[place] = Chosen(why, rank)

    def _new(self, what: str, place: int, rank: int) -> bool:
        """Whether this is the first time that the step is made, or the first time for such a high rank."""
        new = rank < self._followed.get((what, place), CONTEXT + 1)
        if new:
            self._followed[what, place] = rank
        return new

    # ---- messages ---------------------------------------------------------------------------------------------

    def _brought_by(self, place: int, type: str | None, rank: int, sender: str | None = None) -> int | None:
        arrival = self.past.brought_by(place, type, sender)
        if arrival is not None:
            self._add(arrival, "message", rank)
        return arrival

    def _sender_led(self, arrival: int, rank: int) -> tuple[int, RoleChanged] | None:
        """The election of the leader that sent this message, if a leader sent it."""
        event = self.items[arrival]
        assert isinstance(event, MessageReceived)
        sent = self.past.sending(arrival)
        led = self.past.role(event.sender, arrival if sent is None else sent)
        if led is None or led[1].role != "leader":
            return None
        self._led(led[0], rank)
        return led

    # ---- elections (§5.2) -------------------------------------------------------------------------------------

    def _candidacy(self, node: str, term: int, before: int, rank: int) -> int | None:
        """The node's candidacy in that term."""
        for place in reversed(self.past.own(node, until=before)):
            item = self.items[place]
            if isinstance(item, RoleChanged) and item.role == "candidate" and item.term <= term:
                if item.term == term:
                    self._add(place, "candidate", rank)
                    return place
                return None
        return None

    def _led(self, leader: int, rank: int) -> None:
        """The election of a leader, without the votes."""
        event = self.items[leader]
        assert isinstance(event, RoleChanged)
        self._add(leader, "leader", rank)
        self._candidacy(event.node, event.term, leader, rank + 1)

    def _voters(self, leader: int, event: RoleChanged, rank: int) -> None:
        """The votes that the leader got from others in its term, without the messages."""
        for place, vote in self.past.of(VoteGranted):
            if vote.term == event.term and vote.candidate == event.node != vote.node and place < leader:
                self._add(place, "vote", rank)

    def _election(self, leader: int, rank: int) -> None:
        """Candidacy, votes and the replies that had arrived when the leader was elected.

        A majority should have voted. If it did not, the story shows every reply that the node may have counted, with
        the last vote that its sender had reported.
        """
        event = self.items[leader]
        assert isinstance(event, RoleChanged)
        self._add(leader, "leader", rank)
        if not self._new("election", leader, rank):
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
                    self._last_vote(place, reply, event.node, rank)
        for place in counted.values():
            self._add(place, "vote reply", rank)

    def _last_vote(self, place: int, reply: MessageReceived, candidate: str, rank: int) -> None:
        """The last vote of the sender of this reply, if it was for that candidate, in an earlier term."""
        sent = self.past.sending(place)
        vote = self.past.last(VoteGranted, reply.sender, place if sent is None else sent)
        if vote is not None and vote[1].candidate == candidate:
            self._vote(vote[0], rank)

    def _vote(self, place: int, rank: int) -> None:
        vote = self.items[place]
        assert isinstance(vote, VoteGranted)
        self._add(place, "vote", rank)
        if not self._new("vote", place, rank):
            return
        asked = self._brought_by(place, REQUEST_VOTE, rank + 1, vote.candidate) if vote.candidate != vote.node else None
        sent = self.past.sending(asked) if asked is not None else None
        self._candidacy(vote.candidate, vote.term, place + 1 if sent is None else sent, rank)

    def _outcome_of_vote(self, place: int) -> None:
        """The candidate's election, if it had won by then."""
        vote = self.items[place]
        assert isinstance(vote, VoteGranted)
        for leader, event in self.past.of(RoleChanged):
            if event.role == "leader" and (event.node, event.term) == (vote.candidate, vote.term):
                self._add(leader, "leader", HELPFUL)

    # ---- entries (§5.3) ---------------------------------------------------------------------------------------

    def _entry(self, place: int, rank: int) -> None:
        """An entry in a log: the message that carried it there, and the leader that had it first."""
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
        if not self._new("entry", place, rank):
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
        """The first append of the entry, by the leader of its term or by a follower with a faster disk."""
        event = self.items[place]
        assert isinstance(event, EntryAppended)
        self._add(place, "entry", rank)
        for leader, role in self.past.of(RoleChanged):
            if role.role == "leader" and role.term == event.term and leader < place:
                self._led(leader, rank)

    def _lost(self, place: int, rank: int, term: int | None = None) -> None:
        """The causes of a truncated log, or of a log that a restart found shorter.

        `term` is the term of a lost entry; the votes for a later leader, which had another entry there, matter.
        """
        event = self.items[place]
        assert not isinstance(event, Op)
        self._add(place, "lost", rank)
        if not self._new("lost", place, rank):
            return
        if isinstance(event, Started):
            self._restart(place, rank)
            return
        stepped = self.past.last(RoleChanged, event.node, place, event.inc)
        if stepped is not None and stepped[1].t_us == event.t_us:
            self._add(stepped[0], "role", rank)
        arrival = self._brought_by(place, None, rank)
        led = self._sender_led(arrival, rank) if arrival is not None else None
        if led is not None and term is not None and led[1].term > term:
            self._voters(*led, rank + 1)

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

    # ---- commitment (§5.3, §5.4) ------------------------------------------------------------------------------

    def _commit(self, place: int, rank: int) -> None:
        """A leader commits an entry that a majority acknowledged, a follower an entry that its leader committed."""
        event = self.items[place]
        assert isinstance(event, CommitAdvanced)
        self._add(place, "commit", rank)
        if not self._new("commit", place, rank):
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
        """Where the sender's incarnation committed the index, or its last commit before the index."""
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
        """The replies by which a majority held the entry; if they are too few, all that the leader may have counted."""
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
        """Where the leader itself appended the entry that it commits."""
        for place in reversed(self.past.appended[entry.index]):
            event = self.items[place]
            assert isinstance(event, EntryAppended)
            if place < before and event.node == node and event.digest == entry.digest:
                self._add(place, "entry", rank)
                return place
        return None

    def _stored(self, node: str, index: int, entry: EntryAppended | None, before: int) -> int | None:
        """Where the node appended the same entry, if it had the entry then."""
        change = next(((at, held) for at, held in reversed(self.past.held(node, index)) if at < before), None)
        if change is None or change[1] is None or (entry is not None and change[1].digest != entry.digest):
            return None
        return change[0]

    def _applied(self, place: int) -> None:
        """The commit of an applied entry, and the entry in that node's log."""
        event = self.items[place]
        assert isinstance(event, EntryApplied)
        commit = self._first_commit(event.node, event.index, place)
        if commit is not None:
            self._commit(commit, ESSENTIAL)
        held = next((at for at, entry in reversed(self.past.held(event.node, event.index)) if at < place), None)
        if held is not None and isinstance(self.items[held], EntryAppended):
            self._entry(held, ESSENTIAL)
