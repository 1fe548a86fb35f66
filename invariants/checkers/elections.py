"""Election Safety (§5.2), and what it rests on: one vote per term, kept across restarts (Figure 2), and a majority of
votes for whoever leads."""

from __future__ import annotations

from collections import defaultdict

from raft_chaos.invariants.checkers.base import Checker, Handlers, who
from raft_chaos.invariants.checkers.causal_past import CausalChecker, CausalPast, Clock, OnClaim, OnFact
from raft_chaos.invariants.checkers.configuration import Configuration
from raft_chaos.invariants.events import (
    Event,
    LeaderObserved,
    LogsFollowed,
    LogsLost,
    RoleChanged,
    Started,
    VoteGranted,
)
from raft_chaos.invariants.verdict import Verdict


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


class ElectionsInLogs(Checker):
    """The same rule, by what the lines of the nodes' logs say. These are not made for it, so they convict only if
    `target check` has shown what they mean, and only a node that says so of itself, beside another one."""

    invariant = ElectionSafety.invariant
    rule = ElectionSafety.rule
    nothing_judged = "no line of a log says who became leader"

    def __init__(self) -> None:
        super().__init__()
        self._followed: LogsFollowed | None = None
        self._lost = ""
        self._leader_of: dict[int, LeaderObserved] = {}
        self._unproven = ""

    def handlers(self) -> Handlers:
        return {LogsFollowed: self._on_followed, LogsLost: self._on_lost, LeaderObserved: self._on_leader}

    @property
    def applies(self) -> bool:
        return self._followed is not None

    def _on_followed(self, event: LogsFollowed) -> None:
        self._followed = event

    def _on_lost(self, event: LogsLost) -> None:
        self._lost = self._lost or event.why

    def _on_leader(self, event: LeaderObserved) -> None:
        if not event.said or event.reporter or self._followed is None:
            return
        self.judged += 1
        first = self._leader_of.setdefault(event.term, event)
        if first.subject == event.subject:
            return
        message = f"term {event.term} has two leaders: {_in_log(first)}, and {_in_log(event)}"
        if self._followed.checked:
            self.violate(message, first, event)
        else:
            self._unproven = self._unproven or message

    def verdict(self) -> Verdict:
        if self._unproven:
            check = f"raft-chaos target check {self._followed.target if self._followed else ''}"
            return self.conclude(
                "unknown",
                f"{self._unproven}. Nobody has shown that these lines mean that: run `{check}`, then this again",
            )
        if self._lost and not self.violations:
            return self.conclude("unknown", self._lost)
        return super().verdict()

    def note(self) -> str:
        if self._followed is None or self._followed.checked:
            return "by lines of the nodes' logs"
        return "by lines of the nodes' logs, which `raft-chaos target check` has not shown to be right"


def _in_log(event: LeaderObserved) -> str:
    return f"{event.subject} (incarnation {event.subject_inc}) logged {event.said!r} ({event.file}, line {event.line})"


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


class TermHasCandidate(Checker):
    """Somebody stood for election in each term that a node has entered. A TimeoutNow (thesis, §3.10) is of its sender's
    own term: nobody enters a later one until the target has stood.

    A candidate reports that it stands, and its vote for itself, before it asks for others. If it crashes between the
    write and the report, it reports the vote when it starts again. A node may come into the cluster with a term from
    before.
    """

    invariant = "term_has_candidate"
    rule = "Each term begins with an election, in which one or more candidates attempt to become leader (§5.1)."
    nothing_judged = "no node entered a term"

    def __init__(self) -> None:
        super().__init__()
        self._entered: dict[int, RoleChanged] = {}
        self._stood: set[int] = set()  # only looked up

    def handlers(self) -> Handlers:
        return {RoleChanged: self._on_role, VoteGranted: self._on_vote, Started: self._on_started}

    def _on_role(self, event: RoleChanged) -> None:
        self._entered.setdefault(event.term, event)
        if event.role != "follower":
            self._stood.add(event.term)

    def _on_vote(self, event: VoteGranted) -> None:
        self._stood.add(event.term)  # whoever it is for has asked for it

    def _on_started(self, event: Started) -> None:
        if event.inc == 1 or event.voted_for is not None:
            self._stood.add(event.term)

    def verdict(self) -> Verdict:
        """Judges from the start each time: the candidate's own report may come later than those of the others."""
        self.judged, self.violations, self.violation_count = len(self._entered), [], 0
        for term, event in sorted(self._entered.items()):
            if term not in self._stood:
                self.violate(f"{who(event)} entered term {term}, in which nobody stood for election", event)
        return super().verdict()


class LeaderVotesQuorum(CausalChecker):
    """A node that leads in a term can know of votes for it, in this term, by a majority of the voters.

    A vote counts from its report on, by the vote itself or by a restart that recovers it: the disk may be ahead of the
    events. It counts for ever, since a term has one leader at most. Who has to vote, the configuration says that the
    node uses then (§6); a vote of somebody else is none.
    """

    invariant = "leader_votes_quorum"
    rule = "A candidate leads once it has votes from a majority, for its own term (§5.2; LeaderVotesQuorumInv)."
    nothing_judged = "no leader was elected"

    def __init__(self, past: CausalPast, configuration: Configuration) -> None:
        super().__init__(past, configuration)
        # (term, candidate) -> by the voter's place, the first report of its vote and the number of this fact.
        self._votes: defaultdict[tuple[int, str], dict[int, tuple[VoteGranted | Started, int]]] = defaultdict(dict)

    def facts(self) -> dict[type[Event], OnFact]:
        return {VoteGranted: self._on_vote, Started: self._on_started}

    def claims(self) -> dict[type[Event], OnClaim]:
        return {RoleChanged: self._on_role}

    def _on_vote(self, event: VoteGranted, place: int, number: int) -> None:
        self._votes[event.term, event.candidate].setdefault(place, (event, number))

    def _on_started(self, event: Started, place: int, number: int) -> None:
        if event.voted_for is not None:
            self._votes[event.term, event.voted_for].setdefault(place, (event, number))

    def _on_role(self, event: RoleChanged, place: int, known: Clock) -> None:
        if event.role != "leader":
            return
        self.judged += 1
        reported = self._votes.get((event.term, event.node), {})
        votes = [vote for voter, (vote, number) in reported.items() if number <= known[voter]]
        members, voters = self._past.used[place].members, [vote.node for vote in votes]
        if not self._configuration.is_quorum(voters, members):
            share = self._configuration.share(sorted(voters), members)
            self.violate(
                f"{who(event)} leads in term {event.term} with the votes of {share}, as far as it can know",
                *votes,
                event,
            )
