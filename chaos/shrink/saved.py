"""What failed in a saved run, as something to be made small."""

from __future__ import annotations

from chaos.analysis import analyse
from chaos.execution.merge import Merge
from chaos.execution.steps import Execution
from chaos.mutants import parts_of
from chaos.reproduction.file import Origin
from chaos.schedule import load
from chaos.settings import Settings, settings_of
from chaos.shrink.failure import Failure
from invariants.rundir import RunDir
from invariants.verdict import Verdict


class NothingToShrinkError(Exception):
    """The run breaks no invariant, or not the one that was asked for; says what it does instead."""


def failure_in(run: RunDir, invariant: str | None) -> Failure:
    """The first violation of the run, or that of the invariant.

    Raises NothingToShrinkError, MergeError, RunDirError, ScheduleError.
    """
    info = run.load_info()
    settings = settings_of(run, info)
    violated = [verdict for verdict in analyse(run).invariants if verdict.outcome == "violated"]
    if not violated:
        raise NothingToShrinkError(f"{run.path}: no invariant is violated")
    chosen = min(violated, key=_shown_at_us).invariant if invariant is None else invariant
    if chosen not in {verdict.invariant for verdict in violated}:
        there = ", ".join(verdict.invariant for verdict in violated)
        raise NothingToShrinkError(f"{run.path}: {chosen} is not violated; violated: {there}")
    return Failure(
        invariant=chosen,
        mutant=info.mutant,
        timing=settings.timing,
        schedule=load(run.schedule),
        origin=Origin(world=info.world, seed=info.seed, commit=info.commit, versions=info.versions),
        execution=_merged(run, settings, info.mutant) if info.world == "live" else None,
    )


def _merged(run: RunDir, settings: Settings, mutant: str | None) -> Execution:
    return Merge(run, settings.timing, parts_of(mutant)).go().execution


def _shown_at_us(verdict: Verdict) -> int:
    """When its first violation was there to be seen."""
    return max((item.t_us for item in verdict.violations[0].witness), default=0)
