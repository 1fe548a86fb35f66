"""Which violation is explained, and its explanation."""

from __future__ import annotations

from collections.abc import Sequence

from raft_chaos.chaos.cli.common import close_to, fail
from raft_chaos.invariants.verdict import Verdict, Violation
from raft_chaos.reports.commands.explain import Explanation
from raft_chaos.reports.story.happens_before import Item
from raft_chaos.reports.story.story import tell


def explanation(items: Sequence[Item], verdicts: Sequence[Verdict], invariant: str | None) -> Explanation | None:
    """The earliest violation, or the earliest of that invariant, in the trace `items`; None if there is none.

    Ends with exit code 254 for an invariant that was not judged.
    """
    if invariant is not None and invariant not in (names := [verdict.invariant for verdict in verdicts]):
        near = close_to(invariant, names)
        hint = f"did you mean {near!r}?" if near else f"expected one of {', '.join(names)}"
        fail(f"--invariant: {invariant!r} was not judged; {hint}")
    firsts = [verdict.violations[0] for verdict in verdicts if verdict.violations]
    wanted = [violation for violation in firsts if invariant in (None, violation.invariant)]
    if not wanted:
        return None
    explained = min(wanted, key=_complete_us)
    return Explanation(tell(items, explained), tuple(violation for violation in firsts if violation is not explained))


def _complete_us(violation: Violation) -> int:
    """The time of the last event of the violation's witness."""
    return max((event.t_us for event in violation.witness), default=0)
