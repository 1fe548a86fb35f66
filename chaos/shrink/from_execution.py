"""Makes a reproduction of an execution that violates an invariant."""

from __future__ import annotations

from raft_chaos.chaos.execution.steps import Execution
from raft_chaos.chaos.reproduction.file import Origin, Reproduction
from raft_chaos.chaos.reproduction.make import make
from raft_chaos.chaos.run.settings import commit, versions
from raft_chaos.chaos.shrink.executions import ExecutionShrinker

BUDGET_S = 20.0


def reproduction_of(
    execution: Execution, invariant: str, mutant: str | None, *, budget_s: float = BUDGET_S
) -> Reproduction:
    """Shrinks the execution for at most `budget_s` seconds and returns its reproduction.

    Raises NotReproducedError if the execution does not violate the invariant.
    """
    shrinker = ExecutionShrinker(execution, mutant, invariant, budget_s=budget_s, jobs=1)
    shrinker.run()
    origin = Origin(world="sim", seed=execution.seed, commit=commit(), versions=versions())
    return make(invariant, mutant, origin, execution=shrinker.execution)
