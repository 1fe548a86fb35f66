"""Verdicts: valid, violated (with a witness), or unknown (with the reason).

Overall, violated outranks unknown, and unknown outranks valid. A checker that had nothing to judge returns unknown.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal, TypeAlias

import msgspec

Outcome: TypeAlias = Literal["valid", "violated", "unknown"]

EXIT_VALID, EXIT_VIOLATED, EXIT_UNKNOWN, EXIT_USAGE, EXIT_HARNESS = 0, 1, 2, 254, 255
EXIT_CODE: dict[Outcome, int] = {"valid": EXIT_VALID, "violated": EXIT_VIOLATED, "unknown": EXIT_UNKNOWN}


class Violation(msgspec.Struct, frozen=True):
    """One violation: a message for people, the paper's rule, and a witness, the smallest set of events that shows it.

    `witness` holds the events (or client operations) as in the run's files, in causal order.
    """

    invariant: str
    message: str
    rule: str
    witness: tuple[Any, ...] = ()


class Verdict(msgspec.Struct, frozen=True):
    """The verdict on one invariant. `judged` counts the events (or operations) that it rests on.

    `violations` are the first few, earliest first; `violation_count` is the number of all.
    """

    invariant: str
    outcome: Outcome
    judged: int
    reason: str = ""
    violations: tuple[Violation, ...] = ()
    violation_count: int = 0


def overall(outcomes: Iterable[Outcome]) -> Outcome:
    """The worst outcome: violated before unknown before valid; unknown if there are none."""
    seen = list(outcomes)
    if "violated" in seen:
        return "violated"
    return "valid" if seen and "unknown" not in seen else "unknown"


SYMPTOM = "recovery"
"""What else was violated is more likely its cause than the other way round: a node that has ended recovers no more."""


def broken(verdicts: Iterable[Verdict]) -> list[Verdict]:
    """The violated ones, those that may be a cause first."""
    return sorted((one for one in verdicts if one.outcome == "violated"), key=lambda one: one.invariant == SYMPTOM)
