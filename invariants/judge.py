"""Runs all checkers over one stream of events and operations, during a run and over a saved run.

    judge = Judge()
    judge.observe(event)       each node's events in that node's own order; nodes interleaved in any way
    judge.observe_all(events)  likewise, for some events of one node, or of the harness
    judge.observe_op(op)       client operations in the order in which the clients saw them
    judge.new_violations()     after each batch: the violations found since the last call
    judge.verdicts()           at any time; at the end of the run they are final

An event goes only to the checkers that have a handler for its type, and then to the shared view of the nodes' logs.
Some checkers get it by way of the view of what each node can know, which may hold it back. All of them get it when the
judge is asked, or when many events have come together: one loop over many costs less.
A checker that raises an exception receives nothing more. Its invariant is unknown from then on, unless it had already
found a violation.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, TypeAlias, TypeVar

from raft_chaos.invariants.checkers.base import Checker, Handlers
from raft_chaos.invariants.checkers.causal_past import CausalChecker, CausalPast
from raft_chaos.invariants.checkers.check_quorum import CheckQuorum
from raft_chaos.invariants.checkers.client_history import AcknowledgedWrites, HistoryChecker, MonotonicReads
from raft_chaos.invariants.checkers.client_keys import ClientKeys
from raft_chaos.invariants.checkers.commitment import LeaderCommitsOwnTerm, LeaderCompleteness, StateMachineSafety
from raft_chaos.invariants.checkers.configuration import Configuration
from raft_chaos.invariants.checkers.consistency_check import ConsistencyCheck
from raft_chaos.invariants.checkers.durability import Durability
from raft_chaos.invariants.checkers.efficiency import Efficiency
from raft_chaos.invariants.checkers.election_timer import ElectionTimer
from raft_chaos.invariants.checkers.elections import (
    ElectionSafety,
    ElectionsInLogs,
    LeaderVotesQuorum,
    OneVotePerTerm,
    TermHasCandidate,
)
from raft_chaos.invariants.checkers.exits import UnexpectedExit
from raft_chaos.invariants.checkers.followed_leader import FollowedLeader
from raft_chaos.invariants.checkers.heartbeats import Heartbeats
from raft_chaos.invariants.checkers.leader_no_op import LeaderNoOp
from raft_chaos.invariants.checkers.leader_recognized import LeaderRecognized
from raft_chaos.invariants.checkers.leader_stickiness import LeaderStickiness
from raft_chaos.invariants.checkers.leadership_transfer import LeadershipTransfer
from raft_chaos.invariants.checkers.leaderships import Leaderships
from raft_chaos.invariants.checkers.learner_promotion import LearnerPromotion
from raft_chaos.invariants.checkers.linearizability import Linearizability
from raft_chaos.invariants.checkers.liveness_under_fault import LivenessUnderFault
from raft_chaos.invariants.checkers.log_bounded import LogBounded
from raft_chaos.invariants.checkers.logs import CommittedLogAppendOnly, LeaderAppendOnly, LogMatching
from raft_chaos.invariants.checkers.membership_changes import MembershipChanges
from raft_chaos.invariants.checkers.monotonicity import Monotonicity
from raft_chaos.invariants.checkers.node_logs import NodeLogs
from raft_chaos.invariants.checkers.pre_vote import PreVoting
from raft_chaos.invariants.checkers.queue import TotalQueue
from raft_chaos.invariants.checkers.quorum_log import QuorumLog
from raft_chaos.invariants.checkers.read_index import ReadIndex
from raft_chaos.invariants.checkers.recovery import Recovery
from raft_chaos.invariants.checkers.session_expiry import SessionExpiry
from raft_chaos.invariants.checkers.sessions import RepeatedAnswers
from raft_chaos.invariants.checkers.stable_leadership import StableLeadership
from raft_chaos.invariants.checkers.stale_reads import StaleReads
from raft_chaos.invariants.checkers.waiting_bounded import WaitingBounded
from raft_chaos.invariants.events import AnyEvent, Event, MessageReceived, MessageSent
from raft_chaos.invariants.history import QUEUE_FUNCTIONS, Op
from raft_chaos.invariants.pace import Pace
from raft_chaos.invariants.rundir import RunDir, RunInfo
from raft_chaos.invariants.verdict import Outcome, Verdict, Violation, overall

_Routes: TypeAlias = dict[Callable[[Any], None], tuple[Checker, ...]]
"""Each handler, and the checkers whose verdict is lost if it raises (its own checker; for a view, all its users)."""

_Kind = TypeVar("_Kind")

_OF_ALL_NODES = (LeaderRecognized, LivenessUnderFault, StableLeadership)

READ_AT_ONCE = 2_000
"""How many events to judge at once, at most."""


class Judge:
    """Owns the checkers of a run. Never raises, whatever it observes.

    `voters` are the names of the nodes, of which a majority elects and commits; without them `leader_votes_quorum` and
    `quorum_log` are unknown. Only the `first_voters` among them vote at first, if there are any (§6). `pace` is that of
    our own Raft, the only system whose `efficiency`, `election_timer` and `check_quorum` are judged. `can` has the
    abilities that the system declares; empty for our own Raft. Without `has_times` no invariant that goes by time is
    judged.

    `events_expected` is False for a system whose nodes report no events. Then only `acknowledged_writes`,
    `monotonic_reads`, `linearizability` and `unexpected_exit` are judged, `election_safety` if the harness reads in the
    nodes' logs who became leader, and `repeated_answers` where commands arrived again. `total_queue` is judged for a
    system with queues, and the three invariants of keys are not judged for one that has no key to read.
    """

    def __init__(
        self,
        *,
        voters: Sequence[str] = (),
        first_voters: Sequence[str] = (),
        events_expected: bool = True,
        can: Collection[str] = (),
        pace: Pace | None = None,
        has_times: bool = True,
    ) -> None:
        configuration = Configuration(voters, first_voters or (pace.first_voters if pace is not None else ()))
        self._logs = NodeLogs()
        self._past = CausalPast(configuration)
        self._keys = ClientKeys()
        self._leaderships = Leaderships()
        self._read_index = ReadIndex(pace, configuration, self._logs.of)
        self._session_expiry = SessionExpiry(pace)
        logs = self._logs.of
        event_checkers: Sequence[Checker] = [
            ElectionSafety(),
            OneVotePerTerm(),
            TermHasCandidate(),
            LeaderVotesQuorum(self._past, configuration),
            ElectionTimer(pace, configuration),
            PreVoting(pace, configuration),
            CheckQuorum(pace, configuration),
            LeaderStickiness(pace),
            MembershipChanges(logs, configuration),
            LearnerPromotion(pace, logs, configuration),
            FollowedLeader(),
            LeaderRecognized(self._leaderships),
            Heartbeats(pace, configuration),
            LeadershipTransfer(logs),
            LeaderAppendOnly(logs),
            CommittedLogAppendOnly(logs),
            LogMatching(logs),
            ConsistencyCheck(),
            LeaderNoOp(pace),
            LeaderCommitsOwnTerm(logs),
            QuorumLog(self._past, configuration),
            LeaderCompleteness(logs),
            StateMachineSafety(logs),
            Monotonicity(logs),
            Durability(logs),
            LivenessUnderFault(self._leaderships, pace),
            Recovery(configuration),
            StableLeadership(self._leaderships),
            Efficiency(pace),
            LogBounded(pace),
            WaitingBounded(pace),
            self._read_index,
            self._session_expiry,
        ]
        judged = [checker for checker in event_checkers if has_times or not checker.goes_by_time]
        if not configuration.all_vote:  # what is owed to all nodes is owed to the members alone
            judged = [checker for checker in judged if not isinstance(checker, _OF_ALL_NODES)]
        self._by_events = judged if events_expected else []
        self._by_past = [checker for checker in self._by_events if isinstance(checker, CausalChecker)]
        self._by_history: Sequence[HistoryChecker] = [AcknowledgedWrites(self._keys), MonotonicReads(self._keys)]
        self._linearizability = Linearizability()
        self._stale_reads = StaleReads()
        self._queues = TotalQueue(exactly_once="exactly_once" in can)
        has_queues = {*QUEUE_FUNCTIONS} <= {*can}
        has_keys = not has_queues or "get" in can
        self._checkers: Sequence[Checker] = [
            *(self._by_events or [ElectionsInLogs()]),
            *([*self._by_history, self._linearizability, self._stale_reads] if has_keys else []),
            *([self._queues] if has_queues else []),
            RepeatedAnswers(),
            UnexpectedExit(),
        ]
        self._unread: list[Any] = []
        self._polled = [0] * len(self._checkers)
        self._failures: dict[str, str] = {}  # by invariant: what its checker raised

        self._routes: dict[type[Event], _Routes] = {}
        self._of_messages: dict[type[Event], dict[str, _Routes]] = {MessageSent: {}, MessageReceived: {}}  # by type
        for checker in self._checkers:
            self._route((checker,), checker.handlers())
        self._route(tuple(self._by_events), self._logs.handlers())
        led = (checker for checker in self._by_events if isinstance(checker, _OF_ALL_NODES))
        self._route(tuple(led), self._leaderships.handlers())
        for by_past in self._by_past:
            self._past.pass_on(by_past.facts(), by_past.claims())

    def _route(self, concerned: tuple[Checker, ...], handlers: Handlers) -> None:
        for kind, handler in handlers.items():
            if isinstance(kind, tuple):
                kind_of_message, of_type = kind
                self._of_messages[kind_of_message].setdefault(of_type, {})[handler] = concerned
            else:
                self._routes.setdefault(kind, {})[handler] = concerned

    @property
    def checkers(self) -> Sequence[Checker]:
        """One for each invariant, in the order of the verdicts. Some invariants do not apply to every run."""
        return self._checkers

    def observe(self, event: Event) -> None:
        """One event of a node or of the harness."""
        self.observe_all((event,))

    def observe_all(self, events: Sequence[Event]) -> None:
        """Some events of one node, in its own order, or of the harness."""
        self._unread += events
        if len(self._unread) >= READ_AT_ONCE:
            self._read()

    def _read(self) -> None:
        """Passes on the events that were observed since the last call."""
        events, self._unread = self._unread, []
        of_messages, of_others = self._of_messages, self._routes
        for event in events:
            kind = type(event)
            by_type = of_messages.get(kind)
            routes = of_others.get(kind) if by_type is None else by_type.get(event.type)
            if routes is None:
                continue
            for handler in routes:
                try:
                    handler(event)
                except Exception as error:
                    self._failed(routes[handler], error)
        if self._by_past:
            try:
                self._past.observe(events)
            except Exception as error:
                self._failed(self._by_past, error)
                self._by_past = []

    def observe_op(self, op: Op) -> None:
        """One line of the clients' history."""
        if op.f in QUEUE_FUNCTIONS:
            self._observe(self._queues, op)
            return
        self._observe(self._stale_reads, op)
        if op.consistency == "stale":
            return  # it is no part of the linearizable history
        if op.consistency is not None:
            self._observe(self._read_index, op)
        else:
            self._observe(self._session_expiry, op)
        self._linearizability.observe_op(op)
        try:
            ended = self._keys.observe(op)
        except Exception as error:
            self._failed(self._by_history, error)
            return
        for checker in self._by_history:
            if checker.invariant in self._failures:
                continue
            try:
                checker.observe_op(op, ended)
            except Exception as error:
                self._failed((checker,), error)

    def _observe(self, checker: TotalQueue | StaleReads | ReadIndex | SessionExpiry, op: Op) -> None:
        if checker.invariant in self._failures:
            return
        try:
            checker.observe_op(op)
        except Exception as error:
            self._failed((checker,), error)

    def _failed(self, concerned: Sequence[Checker], error: Exception) -> None:
        """Like Jepsen's check-safe: a checker that raises has an unknown verdict, and the others continue."""
        for checker in concerned:
            self._failures.setdefault(checker.invariant, f"the checker itself failed: {type(error).__name__}: {error}")
        self._keep_heeded(self._routes)
        for by_type in self._of_messages.values():
            self._keep_heeded(by_type)

    def _keep_heeded(self, by_kind: dict[_Kind, _Routes]) -> None:
        for kind, routes in by_kind.items():
            # A new dictionary, since `_read` is iterating over one of the old ones.
            by_kind[kind] = {
                handler: relying
                for handler, relying in routes.items()
                if any(checker.invariant not in self._failures for checker in relying)
            }

    def new_violations(self) -> list[Violation]:
        """The violations found since the last call, in the order of the invariants, at most the first few of each.

        Only `verdicts` finds violations of `liveness_under_fault`, `recovery` and `stale_reads`, and lost elements of
        queues, once the run has ended. `linearizability` is judged whenever a key has a quarter more operations.
        """
        self._read()
        if self._linearizability.invariant not in self._failures:
            try:
                self._linearizability.look()
            except Exception as error:
                self._failed((self._linearizability,), error)
        found: list[Violation] = []
        for position, checker in enumerate(self._checkers):
            if len(checker.violations) > self._polled[position]:
                found += checker.violations[self._polled[position] :]
                self._polled[position] = len(checker.violations)
        return found

    def verdicts(self) -> list[Verdict]:
        """One verdict for each invariant that applies, in the paper's order: elections, log, commitment, the rest."""
        self._read()
        decided = [(checker, self._verdict(checker)) for checker in self._checkers]
        return [verdict for checker, verdict in decided if checker.applies or checker.invariant in self._failures]

    def _verdict(self, checker: Checker) -> Verdict:
        if checker in self._by_events and not self._logs.of and not checker.violations:
            return checker.conclude("unknown", "no events reported")
        if checker.invariant not in self._failures:
            try:
                return checker.verdict()
            except Exception as error:
                self._failed((checker,), error)
        return checker.conclude("violated" if checker.violations else "unknown", self._failures[checker.invariant])

    def overall(self) -> Outcome:
        """The worst of the verdicts."""
        return overall(verdict.outcome for verdict in self.verdicts())


def judge_run(run: RunDir) -> list[Verdict]:
    """Judges a saved run, finished or not. Raises `RunDirError` if a file cannot be read."""
    in_order = run.merged(run.harness_events(), run.node_streams())
    return judge_saved(run.load_info(), in_order, run.operations())


def judge_saved(info: RunInfo, in_order: Iterable[AnyEvent], history: Iterable[Op]) -> list[Verdict]:
    """Judges what a run directory holds. `in_order` are its events as `RunDir.merged` gives them.

    The verdicts depend only on the order within each stream, and their violations come in the order given.
    """
    judge = Judge(voters=info.nodes, events_expected=info.reports_events, can=info.can, pace=info.pace)
    for event in in_order:
        judge.observe(event)
    for op in history:
        judge.observe_op(op)
    return judge.verdicts()
