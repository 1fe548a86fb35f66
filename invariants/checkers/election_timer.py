"""election_timer: a node begins an election when its election timer has run out, neither sooner nor later.

Each wait is a draw between the shortest and the longest election timeout, from the last reset on (`timer_resets` says
what resets the timer, and what the reports show of it).

- Too soon: the node began an election less than the shortest timeout after a reset.
- Too late: nothing reset its timer for more than the longest timeout, and it began none. Something did, then, that must
  not: a vote that it denied, or AppendEntries of an earlier term.

Why no correct node is convicted:
- Reports of a term, role or vote, and of a message, have the time by which the core acted, in every world, however late
  they are written: two of them are never closer than the timer that was set at the first and ran out at the second.
- Too late is judged in virtual time alone, where a timer fires when it is due, also while a write is under way. In real
  time a busy machine makes any node late.
- In real time a clock has jumped at some time before the harness reports that. So no node is judged there whose clock
  was ever wrong, and no run that ended before its liveness phase, by which all faults have been reported.
- A node that is paused or starved looks at its timer when it may act again: a wait that such a time touches is not
  judged as too late.
- In virtual time a fault of a clock begins when the harness reports it, and a wait that it touches is not judged.
  Before and after it the clock runs at true speed, so a wait has its length whatever the clock shows; that an instant
  is rounded to whole µs is less than `TOLERANCE_US`.
- A node that died may have begun an election that no report tells, since it was not durable yet. Reports keep their
  order, so nothing after the incarnation's last report of a term, role or vote is judged as too late.
- Whether AppendEntries are of the current term is no guess: see `timer_resets`.
- A node without a vote (§6) begins no election, and resets its timer unseen. So no wait that such a time touches is
  judged as too late.
- An election that the node's leader asked for (TimeoutNow; thesis, §3.10) has no timer. The message reports its term,
  and arrives at the time by which the core acts on it. One of an earlier term excuses nothing.

In 500 seeds of the right core (swarm, 3 to 7 nodes) no wait was too short or too long, and none was too short in 32 of
its runs in live (874 waits, the shortest 0.8 ms above the shortest timeout). `timer_not_reset` is convicted
by 12 of 12 seeds, `denied_vote_resets_timer` by 11, `stale_append_resets_timer` by 7.

How many terms a cluster can reach follows from it: a node begins at most one election in the shortest timeout of its
clock, and each election is one term. So n nodes reach at most n * (t / shortest + 1) new terms within a time t. No
invariant counts them, since that bound convicts nobody: of the 105 terms that five nodes may begin within ten longest
timeouts, `election_storm` reached 35 to 46 in live, and the right core 13 to 15; in 40 seeds of sim it came to 98 % of
the bound, the right core to 45 % (with faults of clocks), `timer_not_reset` to 37 %, and `voter_refuses_elected_leader`
to 30 %. The waits themselves convict it in live, too.
"""

from __future__ import annotations

from raft_chaos.invariants.checkers.base import Checker, Handlers, who
from raft_chaos.invariants.checkers.configuration import Configuration
from raft_chaos.invariants.checkers.disturbed import RightClocks, Times
from raft_chaos.invariants.checkers.messages import FROM_LEADERS, when_received
from raft_chaos.invariants.checkers.timer_resets import Candidacy, Quiet, Reset, TimerResets
from raft_chaos.invariants.events import (
    ConfigurationUsed,
    Members,
    MessageReceived,
    PreVoteStarted,
    RoleChanged,
    Started,
    VoteGranted,
)
from raft_chaos.invariants.pace import Pace
from raft_chaos.invariants.verdict import Verdict

TOLERANCE_US = 1_000


class ElectionTimer(Checker):
    """An election begins between the shortest and the longest election timeout after the last reset of the timer.
    Judged for our own Raft alone, whose timeouts are known; in real time only that none begins too soon."""

    invariant = "election_timer"
    goes_by_time = True
    rule = (
        "If the election timeout elapses without AppendEntries from the current leader or granting a vote, begin an "
        "election (Figure 2, §5.2)."
    )
    nothing_judged = "no node began an election"
    only_if_judged = True

    def __init__(self, pace: Pace | None, configuration: Configuration) -> None:
        super().__init__()
        self._shortest_us, self._longest_us = pace.election_timeout_us if pace is not None else (0, 0)
        self._clocks = RightClocks()
        self._incarnations: list[TimerResets] = []
        self._now: dict[str, TimerResets] = {}  # the current incarnation of each node
        self._first = configuration.first
        self._without_vote = Times()
        self._first_led: dict[str, int] = {}  # the first term in which each node led

    def handlers(self) -> Handlers:
        return {
            **self._clocks.handlers(),
            **when_received(self._on_heard, *FROM_LEADERS),
            **when_received(self._on_asked, "RequestVote"),
            **when_received(self._on_told, "TimeoutNow"),
            Started: self._on_started,
            RoleChanged: self._on_role,
            PreVoteStarted: self._on_question,
            VoteGranted: self._on_vote,
            ConfigurationUsed: self._on_used,
        }

    def _on_started(self, event: Started) -> None:
        if self._longest_us:
            self._now[event.node] = TimerResets(event, self._longest_us)
            self._incarnations.append(self._now[event.node])
        self._uses(event.node, self._first, event.t_us)

    def _on_used(self, event: ConfigurationUsed) -> None:
        self._uses(event.node, event.members, event.t_us)

    def _uses(self, node: str, members: Members, t_us: int) -> None:
        self._without_vote.end(node, t_us)
        if not members.votes(node):
            self._without_vote.begin(node, (node,), t_us)

    def _on_role(self, event: RoleChanged) -> None:
        if (timer := self._now.get(event.node)) is not None:
            timer.change_role(event)
        if event.role == "leader":
            self._first_led[event.node] = min(event.term, self._first_led.get(event.node, event.term))

    def _on_question(self, event: PreVoteStarted) -> None:
        if (timer := self._now.get(event.node)) is not None:
            timer.ask(event)

    def _on_vote(self, event: VoteGranted) -> None:
        if (timer := self._now.get(event.node)) is not None:
            timer.vote(event)

    def _on_heard(self, event: MessageReceived) -> None:
        if (timer := self._now.get(event.node)) is not None:
            timer.hear(event)

    def _on_asked(self, event: MessageReceived) -> None:
        if (timer := self._now.get(event.node)) is not None:
            timer.be_asked(event)

    def _on_told(self, event: MessageReceived) -> None:
        if (timer := self._now.get(event.node)) is not None:
            timer.be_told(event)

    # ---- the verdict ------------------------------------------------------------------------------------------------

    def verdict(self) -> Verdict:
        """Judges from the start each time: the harness's events may have come before the nodes' or after them."""
        self.judged, self.violations, self.violation_count = 0, [], 0
        for timer in self._incarnations:
            if self._clocks.is_known(timer.node):
                self.judged += len(timer.candidacies)
                for candidacy in timer.candidacies:
                    self._judge_soon(candidacy)
            for quiet in timer.quiet() if self._clocks.is_virtual else ():
                self._judge_late(quiet)
        return super().verdict()

    def _judge_soon(self, candidacy: Candidacy) -> None:
        began, reset = candidacy.began, self._last_reset(candidacy)
        waited_us = began.t_us - reset.t_us
        if waited_us >= self._shortest_us - TOLERANCE_US:
            return
        if not self._clocks.clock.meet(began.node, reset.t_us, began.t_us):
            self.violate(
                f"{who(began)} {_began(began)} {waited_us} µs after {_said(reset)} at "
                f"{reset.t_us} µs; its shortest election timeout is {self._shortest_us} µs",
                reset,
                began,
            )

    def _last_reset(self, candidacy: Candidacy) -> Reset:
        heard = candidacy.heard
        # Otherwise the message may be of an earlier term.
        if heard is not None and self._first_led.get(heard.sender) == candidacy.term:
            return heard
        return candidacy.reset

    def _judge_late(self, quiet: Quiet) -> None:
        node, due_us = quiet.last.node, quiet.from_us + self._longest_us + TOLERANCE_US
        if quiet.to_us <= due_us:
            return
        unjudged = (self._clocks.clock, self._clocks.held, self._without_vote)
        if any(times.meet(node, quiet.from_us, due_us) for times in unjudged):
            return
        self.violate(
            f"{who(quiet.last)} began no election for {quiet.to_us - quiet.from_us} µs after {_said(quiet.last)} at "
            f"{quiet.from_us} µs; its longest election timeout is {self._longest_us} µs",
            quiet.last,
            quiet.ended,
        )


def _began(event: RoleChanged | PreVoteStarted) -> str:
    if isinstance(event, PreVoteStarted):
        return f"asked for pre-votes of term {event.term}"
    return f"began the election of term {event.term}"


def _said(reset: Reset) -> str:
    """What reset the timer."""
    match reset:
        case Started():
            return "it started"
        case VoteGranted():
            return f"it voted for {reset.candidate} in term {reset.term}"
        case MessageReceived():
            return f"{reset.type} of {reset.sender} arrived"
        case PreVoteStarted():
            return f"it asked for pre-votes of term {reset.term}"
        case RoleChanged(role="candidate"):
            return f"it began the election of term {reset.term}"
        case RoleChanged(leader=None):
            return f"it led no longer, in term {reset.term}"
        case RoleChanged():
            return f"it followed {reset.leader} in term {reset.term}"
