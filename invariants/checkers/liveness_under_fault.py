"""liveness_under_fault: while a fault stands, the majority that it leaves whole elects a leader and commits.

Progress is owed in a standing state (`standing`): a time in which no fault begins or ends and no node starts, stops or
pauses. There must be a majority Q whose members are all up and hear each other, on links that no fault cuts, holds,
delays or makes lossy, with no fault of clock or disk on any of them; and one member q of Q hears nobody outside of Q.

Why progress is owed then. If q follows no leader of Q, its timer runs out: nobody else can reset it. Its candidacy
reaches all of Q and raises their terms, so no member stays with an older leader, wherever that is. A member with the
best log of Q can win the votes of all of Q, and commits as soon as it has appended an entry of its own term. If nothing
enters Q, nothing can disturb that but split votes. If members other than q hear nodes outside of Q, each of these may
depose the leader once in an election timeout, and a commit takes a fraction of that. By shape:

    halves, majority, one   owed to the larger side, which nothing enters. Halves of an even number: no majority
    isolate_leader          owed to the others
    bridge                  owed: each half hears only itself and the bridge, and one half with it is a majority
    majorities_ring         not owed: no majority hears all of itself
    one_way, not heard      owed to the others, whom the node cannot reach
    one_way, hears nobody   not owed: all others hear it. As a leader it resets their timers for ever and commits
                            nothing; as a follower it deposes every leader
    a deaf leader           (it hears nobody) owed if a majority without it has a member that does not hear it

With CheckQuorum (thesis, §6.2) q may hear others as well, so it is also owed while a node hears nobody and all hear it.
As a leader that one steps down within the shortest timeout and a heartbeat. As a candidate it is heeded only while
nobody of Q leads: each of its candidacies may cost Q an election, but one of Q's timers is as likely to run out first.
Whoever is elected by votes of Q can exchange messages with a majority, or steps down as well.

With PreVote and without CheckQuorum no member may hear an outsider. Otherwise the member with the best log may follow
an outsider that hears nobody. It never stands, since its timer is reset, and it refuses the pre-votes of all others,
since their logs are behind. In plain Raft their candidacies raise its term, and it leaves that leader: PreVote alone
loses this liveness.

What counts as progress: a commit beyond every earlier one, by any node. None is demanded while a node leads that can
commit and has nothing of its own term to commit; that time is not counted. All other time is: nobody leads, or only
nodes that cannot commit, or a leader has an entry of its own term that is not committed.

A leader that hands over (thesis, §3.10) takes no proposals for the shortest timeout at most, and a transfer is asked
for three times at most: far less than the bound. While the fault `transfer` stands, no quorum has its leader or target.

In virtual time the bound is half of recovery's, 20 of the longest election timeouts, and the whole of it if an outsider
that Q hears stood for election meanwhile. Calibrated on the right core, with each shape standing for 45 timeouts, 3 to
7 nodes, and the slowest network and disk that a schedule can have (8 to 10 ms, 15 to 20 ms), so that many elections are
split. The longest time without progress, in timeouts, of 100 runs (200 of the last three):

    halves 3.9, majority 5.1, isolate_leader 3.9, bridge 3.7, a deaf leader 4.7
    outsiders that all but one member hear, and that stand for election: 9.2
    with CheckQuorum, a deaf node that all hear (30 runs each): 5.5 if it led, 2.2 otherwise; with PreVote 2.8 and 2.3

Each 2.5 timeouts more are ten times as rare (3.7 with such outsiders): 20, and 40, are out of reach. In real time the
bound is recovery's, and a stall proves nothing if the harness's sentinel was late.

A run that owes nothing has no verdict of this invariant: most schedules change too often.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from raft_chaos.invariants.checkers.base import Checker, Handlers
from raft_chaos.invariants.checkers.leaderships import Leadership, Leaderships
from raft_chaos.invariants.checkers.recovery import LATE_SHARE
from raft_chaos.invariants.checkers.standing import Standing, StandingStates
from raft_chaos.invariants.events import CommitAdvanced, Event, PhaseStarted, RoleChanged, RunEnded
from raft_chaos.invariants.pace import Pace
from raft_chaos.invariants.verdict import Verdict


class Gap(NamedTuple):
    """A time of a standing state without a new commit; `last` is the commit before it, if there was one."""

    from_us: int
    to_us: int
    last: CommitAdvanced | None

    @property
    def committed(self) -> int:
        """The highest index that is committed meanwhile; 0 if nothing is."""
        return self.last.index if self.last is not None else 0


class LivenessUnderFault(Checker):
    """In each standing state that leaves a majority whole, something is committed within the bound, again and again."""

    invariant = "liveness_under_fault"
    goes_by_time = True
    rule = "The cluster makes progress as long as a majority is up and can communicate with each other (§2, §5.6)."
    nothing_judged = "progress stopped while the harness itself was late"

    def __init__(self, leaderships: Leaderships, pace: Pace | None = None) -> None:
        super().__init__()
        self._leaderships = leaderships
        self._states = StandingStates(pace)
        self._owed: list[Standing] = []
        self._bound_us = self._recovery_us = 0
        self._is_virtual = False
        self._late_us: int | None = None
        self._committed: dict[int, CommitAdvanced] = {}  # index -> who reported it first

    def handlers(self) -> Handlers:
        return {
            **self._states.handlers(),
            PhaseStarted: self._on_phase,
            RunEnded: self._on_ended,
            CommitAdvanced: self._on_commit,
        }

    @property
    def applies(self) -> bool:
        return bool(self._owed)

    def _on_phase(self, event: PhaseStarted) -> None:
        self._states.changes(event.t_us)
        if event.phase != "liveness":
            return
        self._is_virtual = event.within_us > 0
        self._recovery_us = event.within_us or event.bound_us
        self._bound_us = self._recovery_us // 2 if self._is_virtual else self._recovery_us
        self._owed = [
            state
            for state in self._states.ended
            if state.to_us - state.from_us >= self._bound_us > 0 and self._states.is_certain(state) and state.quorum
        ]

    def _on_ended(self, event: RunEnded) -> None:
        self._late_us = event.max_safety_late_us

    def _on_commit(self, event: CommitAdvanced) -> None:
        first = self._committed.get(event.index)
        if first is None or event.t_us < first.t_us:
            self._committed[event.index] = event

    # ---- the verdict ----------------------------------------------------------------------------------------------

    def verdict(self) -> Verdict:
        """Judges from the start each time: the harness's events may have come before the nodes' or after them."""
        self.judged, self.violations, self.violation_count = 0, [], 0
        undecided = ""
        for state in self._owed:
            self.judged += 1
            for gap in self._gaps(state):
                if gap.to_us - gap.from_us < self._bound_us:
                    continue  # whatever is demanded in it
                demanded_us = gap.to_us - gap.from_us - self._idle_us(state, gap)
                bound_us = self._recovery_us if self._is_disturbed(state, gap) else self._bound_us
                if demanded_us < bound_us:
                    continue
                if not self._is_virtual and self._late_us is None:
                    undecided = f"{_missed(gap)}, but nobody said how late the harness itself was"
                elif not self._is_virtual and (self._late_us or 0) * LATE_SHARE > bound_us:
                    undecided = f"{_missed(gap)}, but the harness itself was up to {self._late_us} µs late"
                else:
                    self._violated(state, gap, demanded_us, bound_us)
        if undecided and not self.violation_count:
            return self.conclude("unknown", undecided)
        return super().verdict()

    def _gaps(self, state: Standing) -> Iterator[Gap]:
        """The times between new commits, from the beginning of the state to its end."""
        from_us, last = state.from_us, None
        for event in sorted(self._committed.values(), key=lambda event: (event.t_us, event.index)):
            if last is not None and event.index <= last.index:
                continue
            if event.t_us >= state.to_us:
                break
            if event.t_us > state.from_us:
                yield Gap(from_us, event.t_us, last)
                from_us = event.t_us
            last = event
        yield Gap(from_us, state.to_us, last)

    def _idle_us(self, state: Standing, gap: Gap) -> int:
        """For how long of the gap a node that can commit led and had nothing of its own term to commit."""
        idle_us = 0
        for leadership in self._leading(state, gap):
            entry = self._leaderships.own_entry_beyond(gap.committed, leadership.began)
            until_us = min(gap.to_us, leadership.until_us, entry.t_us if entry is not None else gap.to_us)
            idle_us += max(0, until_us - max(gap.from_us, leadership.began.t_us))
        return idle_us

    def _leading(self, state: Standing, gap: Gap) -> list[Leadership]:
        """The leaderships in the gap of nodes that can commit."""
        return [
            leadership
            for node in state.electable
            for leadership in self._leaderships.of(node)
            if leadership.began.t_us < gap.to_us and leadership.until_us > gap.from_us
        ]

    def _is_disturbed(self, state: Standing, gap: Gap) -> bool:
        """Whether a node outside of the quorum that some of it hear stood for election in the gap."""
        return any(
            isinstance(event, RoleChanged) and event.role == "candidate" and gap.from_us <= event.t_us < gap.to_us
            for node in state.intruders
            for event in self._leaderships.roles[node]
        )

    def _violated(self, state: Standing, gap: Gap, demanded_us: int, bound_us: int) -> None:
        leading = self._leading(state, gap)
        why, shown = "no node that hears a majority led", list[Event]()
        if leading:
            leader = leading[-1].began
            shown.append(leader)
            why = f"{leader.node} led term {leader.term} at the end"
            if (entry := self._leaderships.own_entry_beyond(gap.committed, leader)) is not None:
                shown.append(entry)
                why += f", and its entry {entry.index} was not committed"
        whom = f"{state.quorum[0]} nobody else" if state.is_alone else "a leader without a majority steps down"
        faults = ", ".join(f"{fault.fault} ({fault.type})" for fault in state.faults) or "no fault"
        self.violate(
            f"{_missed(gap)} for {demanded_us} µs (bound {bound_us} µs) while {faults} stood, although "
            f"{' '.join(state.quorum)} heard each other, and {whom}: {why}",
            *state.faults,
            *([gap.last] if gap.last is not None else []),
            *shown,
        )


def _missed(gap: Gap) -> str:
    return f"nothing was committed beyond index {gap.committed}"
