"""Runs a reproduction in virtual time. One run is enough, since the result is always the same.

The execution is played in lenient mode. With another core than the one it was found on, some steps may be impossible
(for example, the delivery of a vote that was not granted). That is expected of a fixed core.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from raft_chaos.chaos.execution.player import Player
from raft_chaos.chaos.execution.steps import Execution, NotPlayableError
from raft_chaos.chaos.mutants import parts_of
from raft_chaos.chaos.reproduction.file import Reproduction, Scenario
from raft_chaos.chaos.run.nodes.driver import Driver
from raft_chaos.chaos.run.nodes.memory_driver import MemoryDriver
from raft_chaos.chaos.run.sim.recorder import HISTORY_STREAM, LineSink, Stream
from raft_chaos.chaos.run.sim.run import VirtualRun
from raft_chaos.invariants import events, history
from raft_chaos.invariants.events import AnyEvent
from raft_chaos.invariants.history import Op
from raft_chaos.invariants.judge import Judge
from raft_chaos.invariants.verdict import Verdict, Violation

Outcome: TypeAlias = Literal["reproduced", "violated", "holds", "unknown"]

JUDGED_BY_TIME = ("recovery", *(checker.invariant for checker in Judge().checkers if checker.goes_by_time))
"""A schedule breaks them, never the steps of an execution, which have no time. They need that something was seen."""


@dataclass(frozen=True)
class Reproduced:
    """The result. `outcome`: "reproduced" (the expected invariant is violated), "violated" (only others are), "holds",
    or "unknown".

    `skipped` are the numbers of the steps that could not be done; on the core that the file was made with there are
    none. `same_trace`: whether the trace has the digest in the file.
    """

    outcome: Outcome
    verdicts: list[Verdict]
    violations: list[Violation]
    trace_sha256: str
    same_trace: bool
    skipped: list[int]


class Lines:
    """A sink that keeps the events and operations of a run in memory, in order."""

    def __init__(self) -> None:
        self.items: list[AnyEvent | Op] = []

    def write(self, stream: Stream, lines: bytes, count: int) -> None:
        decode = history.decode if stream == HISTORY_STREAM else events.decode
        self.items += map(decode, lines.splitlines())


def reproduce(reproduction: Reproduction, mutant: str | None) -> Reproduced:
    """Runs the reproduction in this process, with the unmodified core (None) or a mutant.

    Raises KeyError for an unknown mutant.
    """
    return reproduce_with(reproduction, MemoryDriver(parts_of(mutant)))


def reproduce_with(reproduction: Reproduction, driver: Driver, sink: LineSink | None = None) -> Reproduced:
    """Like `reproduce`, with any driver of nodes. All lines of the run go to `sink`.

    Raises NotPlayableError, DriverError.
    """
    skipped: list[int] = []
    if reproduction.foreign is not None:
        raise NotPlayableError(f"it is a failure of {reproduction.foreign.name}, which runs only in live")
    if reproduction.execution is not None:
        verdicts, digest, skipped = _play(reproduction.execution, driver, sink)
    else:
        assert reproduction.scenario is not None
        verdicts, digest = run_scenario(reproduction.scenario, reproduction.expected.invariant, driver, sink)
    return Reproduced(
        outcome_of(verdicts, reproduction.expected.invariant),
        verdicts,
        [violation for verdict in verdicts for violation in verdict.violations],
        digest,
        digest == reproduction.expected.trace_sha256,
        skipped,
    )


def outcome_of(verdicts: list[Verdict], invariant: str) -> Outcome:
    """The outcome that verdicts give for the invariant that is expected to be violated."""
    violated = [verdict.invariant for verdict in verdicts if verdict.outcome == "violated"]
    if violated:
        return "reproduced" if invariant in violated else "violated"
    # An unknown safety verdict counts as "holds": a core that never elects a second leader leaves nothing to judge. But
    # progress must have been observed.
    valid = [verdict.invariant for verdict in verdicts if verdict.outcome == "valid"]
    if invariant in JUDGED_BY_TIME and invariant not in valid:
        return "unknown"
    return "holds"


def _play(execution: Execution, driver: Driver, sink: LineSink | None) -> tuple[list[Verdict], str, list[int]]:
    played = Player(execution, driver, mode="lenient", recorder=sink).play()
    done = set(played.done)
    return played.verdicts, played.trace_sha256, [n for n in range(len(execution.steps)) if n not in done]


def run_scenario(
    scenario: Scenario, until: str, driver: Driver, sink: LineSink | None = None
) -> tuple[list[Verdict], str]:
    """(verdicts, digest of the trace) of a run that ends at the first violation of `until`."""
    run = VirtualRun(scenario.schedule, timing=scenario.timing, driver=driver, recorder=sink, until=until).go()
    return run.analysis.invariants, run.trace_sha256
