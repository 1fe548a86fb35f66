"""Election Safety (§5.2), and the voters' half of it: one vote a term, kept across restarts (Figure 2)."""

from __future__ import annotations

from raft_chaos.invariants.checkers.base import Checker, Handlers, who
from raft_chaos.invariants.events import RoleChanged, Started, VoteGranted


class ElectionSafety(Checker):
    """At most one leader a term, for ever: a leader that died since still counts."""

    invariant = "election_safety"
    rule = "At most one server is ever elected leader in a given term (Figure 3, §5.2)."
    nothing_judged = "no leader was elected"

    def __init__(self) -> None:
        super().__init__()
        self._leader_of: dict[int, RoleChanged] = {}

    def handlers(self) -> Handlers:
        return {RoleChanged: self._on_role}

    def _on_role(self, event: RoleChanged) -> None:
        if event.role != "leader":
            return
        self.judged += 1
        first = self._leader_of.setdefault(event.term, event)
        # The same node twice is two leaders as well: leadership is volatile, so a restarted node was elected again,
        # and each candidacy takes a new term.
        if (first.node, first.inc) != (event.node, event.inc):
            self.violate(f"term {event.term} has two leaders: {who(first)} and {who(event)}", first, event)


class OneVotePerTerm(Checker):
    """A node votes for one candidate a term, and remembers for whom when it restarts within the term."""

    invariant = "one_vote_per_term"
    rule = (
        "A server votes for at most one candidate in a term, and its term and vote survive restarts (Figure 2, §5.2)."
    )
    nothing_judged = "no vote was reported"

    def __init__(self) -> None:
        super().__init__()
        # (node, term) -> what told of the vote first, and its candidate.
        self._vote_of: dict[tuple[str, int], tuple[str, VoteGranted | Started]] = {}

    def handlers(self) -> Handlers:
        return {VoteGranted: self._on_vote, Started: self._on_started}

    def _on_vote(self, event: VoteGranted) -> None:
        self._judge(event, event.candidate)

    def _on_started(self, event: Started) -> None:
        if event.voted_for is not None:
            # The disk may be ahead of the events: a vote known only from here binds just as well.
            self._judge(event, event.voted_for)
        elif (known := self._vote_of.get((event.node, event.term))) is not None:
            self.judged += 1
            candidate, first = known
            self.violate(
                f"{who(event)} started in term {event.term} without a vote, having voted for {candidate} in it before",
                first,
                event,
            )

    def _judge(self, event: VoteGranted | Started, candidate: str) -> None:
        self.judged += 1
        earlier, first = self._vote_of.setdefault((event.node, event.term), (candidate, event))
        if earlier != candidate:
            self.violate(
                f"{event.node} voted twice in term {event.term}: for {earlier} in incarnation {first.inc} "
                f"and for {candidate} in incarnation {event.inc}",
                first,
                event,
            )
