"""What failed in a saved run, as something to be made small."""

from __future__ import annotations

import msgspec

from chaos.analysis import analyse
from chaos.reproduction.file import Origin
from chaos.schedule import load
from chaos.settings import Settings
from chaos.shrink.failure import Failure
from invariants.rundir import RunDir, RunDirError, RunInfo
from invariants.verdict import Verdict


class NothingToShrinkError(Exception):
    """The run breaks no invariant, or not the one that was asked for; says what it does instead."""


def settings_of(run: RunDir, info: RunInfo) -> Settings:
    """What the run was asked to be. Raises RunDirError for a run of another system than our Raft."""
    try:
        settings = msgspec.convert(info.config, Settings)
    except (msgspec.ValidationError, ValueError) as error:
        raise RunDirError(f"{run.run_json}: config: {error}") from None
    if settings.command is not None:
        raise RunDirError(
            f"{run.path} is a run of another system ({settings.command!r}); only our own Raft can be run step by step"
        )
    return settings


def failure_in(run: RunDir, invariant: str | None) -> Failure:
    """The first violation of the run, or that of the invariant.

    Raises NothingToShrinkError, RunDirError, ScheduleError.
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
    )


def _shown_at_us(verdict: Verdict) -> int:
    """When its first violation was there to be seen."""
    return max((item.t_us for item in verdict.violations[0].witness), default=0)
