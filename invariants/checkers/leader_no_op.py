"""leader_no_op: a leader begins its term with an empty entry of its own.

What earlier terms left in its log commits only with an entry of its own term (§5.4.2), and until then it knows neither
what is committed, nor may it answer reads (§8) or change members (thesis, §4.1). So it appends a no-op at once. Without
it all of that waits for the next command, and in a cluster without clients for ever.

Violated: the first entry of its own term that an elected node reports has a command.

Why no correct node is convicted: a node reports its entries in the order of its log, and those of its own term are its
own alone, since a term has one leader. If the no-op never becomes durable, no later entry does, until a leader's
snapshot takes its place: from then on the term is not judged.
"""

from __future__ import annotations

from raft_chaos.invariants.checkers.base import Checker, Handlers, who
from raft_chaos.invariants.events import EntryAppended, RoleChanged, SnapshotInstalled, Started
from raft_chaos.invariants.pace import Pace


class LeaderNoOp(Checker):
    """The first entry of each leader's term is a no-op. Judged for our own Raft alone (a system with a `pace`): others
    may do without, or have something else in it."""

    invariant = "leader_no_op"
    rule = "Each leader commits a blank no-op entry into the log at the start of its term (§8)."
    nothing_judged = "no leader appended an entry of its own term"
    only_if_judged = True

    def __init__(self, pace: Pace | None) -> None:
        super().__init__()
        self._is_known = pace is not None
        self._elected: dict[str, RoleChanged] = {}  # leaders that have not reported an entry of their term

    def handlers(self) -> Handlers:
        if not self._is_known:
            return {}
        return {
            RoleChanged: self._on_role,
            Started: self._on_log_replaced,
            SnapshotInstalled: self._on_log_replaced,
            EntryAppended: self._on_appended,
        }

    def _on_log_replaced(self, event: Started | SnapshotInstalled) -> None:
        self._elected.pop(event.node, None)

    def _on_role(self, event: RoleChanged) -> None:
        if event.role == "leader":
            self._elected[event.node] = event

    def _on_appended(self, event: EntryAppended) -> None:
        elected = self._elected.get(event.node)
        if elected is None or event.term != elected.term:
            return
        del self._elected[event.node]
        self.judged += 1
        if event.size:
            self.violate(
                f"{who(event)}, the leader of term {event.term}, began it with a command of {event.size} bytes, entry "
                f"{event.index}, and not with a no-op",
                elected,
                event,
            )
