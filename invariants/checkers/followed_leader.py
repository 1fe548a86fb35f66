"""followed_leader: a node follows only who was elected leader of its term.

A node that has entered a term follows nobody until it hears the leader of this very term (§5.2). One that keeps the
leader of an earlier term, or takes a candidate for the leader, votes no differently and stores no other entries. But it
sends its clients to a node that does not lead, and whatever it does on behalf of its leader, such as to refuse
candidates (thesis, §4.2.3), it does for nobody.

Violated: a node reports that it follows a leader in a term, in which no incarnation of that one reports to have led.

Why no correct node is convicted: a leader reports that it leads before it sends anything as one, and nobody can follow
it who has not heard of it. Its report may be observed later than those of its followers, so all are judged at the end.
"""

from __future__ import annotations

from raft_chaos.invariants.checkers.base import Checker, Handlers, who
from raft_chaos.invariants.events import RoleChanged
from raft_chaos.invariants.verdict import Verdict


class FollowedLeader(Checker):
    """Whom nodes name as the leader of their term has led in it."""

    invariant = "followed_leader"
    rule = "A server recognizes as its leader only a server that was elected in its own term (§5.2)."
    nothing_judged = "no node followed a leader"
    only_if_judged = True

    def __init__(self) -> None:
        super().__init__()
        self._followed: dict[tuple[int, str], RoleChanged] = {}  # by term and leader, the first who followed it
        self._led: set[tuple[int, str]] = set()  # only looked up

    def handlers(self) -> Handlers:
        return {RoleChanged: self._on_role}

    def _on_role(self, event: RoleChanged) -> None:
        if event.role == "leader":
            self._led.add((event.term, event.node))
        elif event.leader is not None:
            self._followed.setdefault((event.term, event.leader), event)

    def verdict(self) -> Verdict:
        """Judges from the start each time: the leader's own report may come later than those of its followers."""
        self.judged, self.violations, self.violation_count = len(self._followed), [], 0
        for (term, leader), event in sorted(self._followed.items()):
            if (term, leader) not in self._led:
                self.violate(f"{who(event)} followed {leader} in term {term}, which {leader} never led", event)
        return super().verdict()
