"""The one maker of a reproduction: from an execution, a schedule, or both, that violate an invariant in `sim`."""

from __future__ import annotations

from raft_chaos.chaos.execution.player import Player
from raft_chaos.chaos.execution.steps import Execution
from raft_chaos.chaos.mutants import parts_of
from raft_chaos.chaos.reproduction.file import Expected, Origin, Reproduction, Scenario
from raft_chaos.chaos.reproduction.reproduce import run_scenario
from raft_chaos.chaos.run.nodes.memory_driver import MemoryDriver


class NotReproducedError(Exception):
    """The failure did not occur. The message says what was tried."""


def make(
    invariant: str,
    mutant: str | None,
    origin: Origin,
    *,
    execution: Execution | None = None,
    scenario: Scenario | None = None,
) -> Reproduction:
    """Plays the execution, or else runs the scenario, and keeps the violation and the trace's digest.

    Raises NotReproducedError if the invariant is not violated.
    """
    driver = MemoryDriver(parts_of(mutant))
    if execution is not None:
        played = Player(execution, driver).play()
        verdicts, digest = played.verdicts, played.trace_sha256
    else:
        assert scenario is not None, "a reproduction has an execution, a scenario, or both"
        verdicts, digest = run_scenario(scenario, invariant, driver)
    violations = [found for verdict in verdicts if verdict.invariant == invariant for found in verdict.violations]
    if not violations:
        raise NotReproducedError(f"no run in sim violates {invariant}")
    return Reproduction(
        expected=Expected(violation=violations[0], trace_sha256=digest),
        mutant=mutant,
        origin=origin,
        execution=execution,
        scenario=scenario,
    )
