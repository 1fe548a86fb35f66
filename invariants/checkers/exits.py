"""unexpected_exit: a node that ends by itself violates an invariant; the harness never restarts it silently.

Only a fault of its disk excuses it: a node whose disk fails must stop, and one whose data is damaged must not start.
"""

from __future__ import annotations

import re

from raft_chaos.invariants.checkers.base import Checker, Handlers
from raft_chaos.invariants.events import NodeExited, NodeLaunched

_ERROR = re.compile(
    r"panic: |fatal error: |thread '.*' panicked at |Exception in thread |Caused by: |[\w.]*(Error|Exception|Exit)(:|$)"
)
_PLACE = re.compile(r"([\w./-]+\.[A-Za-z]+):(\d+)")
_PYTHON = re.compile(r'File "(.+)", line (\d+)')
"""A line that names an error, and the two forms in which a place in the code is written."""


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
        said = f"; its last words: {words}" if (words := last_words(event.log_tail)) else ""
        self.violate(f"{event.subject} (incarnation {event.subject_inc}) ended by itself {ended}{said}", event)


def last_words(log_tail: str) -> str:
    """The error of which a process ended, and its place in the code, if its log shows them; else its last line.

    Python's traceback has the error in its last line, and its place above; a panic of Go or Rust, and an exception of
    Java, have the place below or in the same line. The witness has all lines.
    """
    lines = [line.strip(" \t|") for line in log_tail.splitlines() if line.strip(" \t|")]
    errors = [number for number, line in enumerate(lines) if _ERROR.match(line)]
    if not errors:
        return lines[-1] if lines else ""
    error = lines[errors[-1]]
    if _PLACE.search(error):
        return error
    below = (_PLACE.search(line) for line in lines[errors[-1] + 1 :])
    above = (_PYTHON.search(line) for line in reversed(lines[: errors[-1]]))
    place = next(filter(None, (*below, *above)), None)
    return f"{error} ({place[1].rpartition('/')[2]}:{place[2]})" if place else error
