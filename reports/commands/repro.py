"""The result of a reproduction: of one run in virtual time, or of several in real time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

import msgspec

from raft_chaos.invariants.verdict import Outcome, Verdict, Violation
from raft_chaos.reports.tables import flowing
from raft_chaos.reports.text import prose, visible

Ended = Literal["reproduced", "violated", "holds", "unknown"]
"""The expected invariant was violated, only others were, none was, or it could not be judged."""


class Reproduced(msgspec.Struct, frozen=True, kw_only=True):
    """The document of one run in virtual time. `verdict` is the verdict on the expected `invariant`."""

    outcome: Ended
    world: str
    invariant: str
    verdict: Outcome
    mutant: str | None
    trace_sha256: str
    same_trace: bool
    skipped_steps: Sequence[int]
    violations: Sequence[Violation]


class LiveRate(msgspec.Struct, frozen=True, kw_only=True):
    """The document of several runs in real time. `rate_95` is the 95 % interval of the rate of reproduction.

    `rate_in_file` is (reproduced, runs) when the file was made, for a system of somebody else.
    """

    outcome: Ended
    world: Literal["live"] = "live"
    invariant: str
    mutant: str | None
    runs: int
    reproduced: int
    other_violations: int
    rate_95: tuple[float, float]
    run_dirs: Sequence[str]
    rate_in_file: tuple[int, int] | msgspec.UnsetType = msgspec.UNSET


class NotApplicable(msgspec.Struct, frozen=True, kw_only=True):
    """The document if the file cannot be run in that world."""

    outcome: Literal["not applicable"] = "not applicable"
    world: str
    why: str


def reproduced_page(done: Reproduced, expected: Verdict, steps: Sequence[object], width: int) -> list[str]:
    """`expected` is the verdict on the expected invariant, `steps` are the steps of the file's execution."""
    return flowing(_reproduced(done, expected, steps), width)


def _reproduced(done: Reproduced, expected: Verdict, steps: Sequence[object]) -> Iterator[str]:
    for violation in done.violations:
        yield f"VIOLATED {violation.invariant}: {visible(violation.message)}"
        yield f"rule: {violation.rule}"
    over = "the unmodified core" if done.mutant is None else f"the mutant {done.mutant}"
    if done.outcome == "reproduced":
        same = "the same trace as when the file was made" if done.same_trace else "another trace than the file's"
        yield f"reproduced over {over}: {same} (SHA-256 {done.trace_sha256})"
    elif done.outcome == "violated":
        yield f"{done.invariant} holds now over {over}, but another invariant is violated"
    else:
        how = "could not be judged" if done.outcome == "unknown" else "holds"
        yield f"{done.invariant}: {how} over {over}{f' ({expected.reason})' if expected.reason else ''}"
    if done.skipped_steps:
        first = done.skipped_steps[0]
        step = msgspec.json.encode(steps[first]).decode()
        yield (
            f"{len(done.skipped_steps)} of {len(steps)} steps could not be done; the first is step {first} "
            f"({step}), and the run is the same up to it"
        )


def live_rate_page(done: LiveRate, width: int) -> list[str]:
    least, most = done.rate_95
    other = f"; another invariant was violated in {done.other_violations}" if done.other_violations else ""
    then = "; {}/{} when the file was made".format(*done.rate_in_file) if done.rate_in_file else ""
    rate = f"{done.reproduced}/{done.runs} runs (95 % interval {least:.0%} to {most:.0%})"
    return prose(f"{done.invariant}: reproduced in {rate}{then}{other}", width, "", "  ")
