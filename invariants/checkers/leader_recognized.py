"""leader_recognized: a node that its leader reaches follows it.

A leader tells all others at once that it leads, with AppendEntries, and a follower or candidate of the same term or an
earlier one follows it (§5.2, Figure 2): whoever it voted for, and whatever its log holds. A node that does not follows
nobody until its timer runs out, and then deposes a leader that nothing is wrong with.

Judged in virtual time, for each leader that is not deposed within half of the longest election timeout, and for each
node that no fault separates from it meanwhile (`standing`): by then the node must follow it, or be in a later term. A
message takes a small part of that, if none is late: for four timeouts after the end of a fault that may have left late
messages behind nothing is judged. Of 3,374 such pairs in 300 seeds of the right core (swarm, 3 to 7 nodes) 3,371
followed, and the others were in a later term.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator

from raft_chaos.invariants.checkers.base import Checker, Handlers
from raft_chaos.invariants.checkers.leaderships import Leadership, Leaderships
from raft_chaos.invariants.checkers.standing import Standing, StandingStates
from raft_chaos.invariants.events import PhaseStarted, RoleChanged, RunEnded
from raft_chaos.invariants.verdict import Verdict

WITHIN_SHARE, SETTLES_SHARE = 80, 10
"""Parts of recovery's bound, which is 40 of the longest election timeouts: half of one, and four."""


class LeaderRecognized(Checker):
    """Half an election timeout after a leader's election, all that it reaches follow it or are in a later term."""

    invariant = "leader_recognized"
    goes_by_time = True
    rule = "A server that hears from the leader of its term recognizes it, and returns to follower state (§5.2)."
    nothing_judged = "no leader reached anybody undisturbed"
    only_if_judged = True

    def __init__(self, leaderships: Leaderships) -> None:
        super().__init__()
        self._leaderships = leaderships
        self._states = StandingStates()
        self._bound_us = 0

    def handlers(self) -> Handlers:
        return {**self._states.handlers(), PhaseStarted: self._on_phase, RunEnded: self._on_ended}

    def _on_phase(self, event: PhaseStarted) -> None:
        self._states.changes(event.t_us)
        self._bound_us = event.within_us

    def _on_ended(self, event: RunEnded) -> None:
        self._states.changes(event.t_us)

    def verdict(self) -> Verdict:
        self.judged, self.violations, self.violation_count = 0, [], 0
        within_us = self._bound_us // WITHIN_SHARE
        for state, leadership in self._undisturbed(within_us) if within_us else ():
            for node in state.undisturbed_receivers(leadership.began.node):
                self._judge(node, leadership.began, within_us)
        return super().verdict()

    def _undisturbed(self, within_us: int) -> Iterator[tuple[Standing, Leadership]]:
        """The leaderships that last for `within_us`, each with the state that stands meanwhile."""
        settles_us = self._bound_us // SETTLES_SHARE
        states = self._states.ended
        for node in sorted(self._leaderships.roles):
            for leadership in self._leaderships.of(node):
                from_us, until_us = leadership.began.t_us, leadership.began.t_us + within_us
                place = bisect_right(states, from_us, key=lambda state: state.from_us) - 1
                if place < 0 or until_us > min(states[place].to_us, leadership.until_us):
                    continue
                state = states[place]
                if self._states.is_certain(state) and (not state.late_us or from_us >= state.late_us + settles_us):
                    yield state, leadership

    def _judge(self, node: str, leader: RoleChanged, within_us: int) -> None:
        before = self._leaderships.role_at(node, leader.t_us)
        after = self._leaderships.role_at(node, leader.t_us + within_us)
        if before is None or after is None or before.term > leader.term:
            return  # the leader's messages are of an earlier term than the node's
        self.judged += 1
        follows = isinstance(after, RoleChanged) and after.leader == leader.node
        if after.term > leader.term or (after.term == leader.term and follows):
            return
        followed = (after.leader if isinstance(after, RoleChanged) else None) or "nobody"
        self.violate(
            f"{node} does not recognize {leader.node} as the leader of term {leader.term}: {within_us} µs after the "
            f"election it was in term {after.term} and followed {followed}, although no fault was between the two",
            leader,
            after,
        )
