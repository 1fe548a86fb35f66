"""Election Safety (§5.2), and the voters' part of it: one vote per term, kept across restarts (Figure 2)."""

from __future__ import annotations

from raft_chaos.invariants.checkers.base import Checker, Handlers, who
from raft_chaos.invariants.events import RoleChanged, Started, VoteGranted


class ElectionSafety(Checker):
    """At most one leader per term over the whole run: a leader that has died still counts."""

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
        # The same node in two incarnations counts as two leaders: leadership is volatile, so the restarted node was
        # elected again, and each election starts a new term.
        if (first.node, first.inc) != (event.node, event.inc):
            self.violate(f"term {event.term} has two leaders: {who(first)} and {who(event)}", first, event)


class OneVotePerTerm(Checker):
    """A node votes for at most one candidate per term, and still has this vote after a restart in the same term."""

    invariant = "one_vote_per_term"
    rule = (
        "A server votes for at most one candidate in a term, and its term and vote survive restarts (Figure 2, §5.2)."
    )
    nothing_judged = "no vote was reported"

    def __init__(self) -> None:
        super().__init__()
        # (node, term) -> the candidate, and the first event that reported the vote.
        self._vote_of: dict[tuple[str, int], tuple[str, VoteGranted | Started]] = {}

    def handlers(self) -> Handlers:
        return {VoteGranted: self._on_vote, Started: self._on_started}

    def _on_vote(self, event: VoteGranted) -> None:
        self._judge(event, event.candidate)

    def _on_started(self, event: Started) -> None:
        if event.voted_for is not None:
            # The disk may be ahead of the events, so this may be the first report of a vote. It binds the node too.
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
