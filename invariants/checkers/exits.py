"""unexpected_exit: a node that ends by itself violates an invariant; the harness never restarts it silently.

Only a fault of its disk excuses it: a node whose disk fails must stop, and one whose data is damaged must not start.
"""

from __future__ import annotations

from raft_chaos.invariants.checkers.base import Checker, Handlers
from raft_chaos.invariants.events import NodeExited, NodeLaunched


class UnexpectedExit(Checker):
    """Every node runs until the harness kills it, or breaks its disk. Only the harness's events count, so it judges any
    system."""

    invariant = "unexpected_exit"
    rule = "A correct server runs until it is stopped from outside; it does not end by itself (§2)."
    nothing_judged = "no node was launched"

    def handlers(self) -> Handlers:
        return {NodeLaunched: self._on_launched, NodeExited: self._on_exited}

    def _on_launched(self, event: NodeLaunched) -> None:
        self.judged += 1

    def _on_exited(self, event: NodeExited) -> None:
        if event.excused:
            return
        ended = f"by signal {-event.exit_code}" if event.exit_code < 0 else f"with exit code {event.exit_code}"
        lines = event.log_tail.strip().splitlines()  # the witness has them all
        said = f"; its last words: {lines[-1].strip()}" if lines else ""
        self.violate(f"{event.subject} (incarnation {event.subject_inc}) ended by itself {ended}{said}", event)
