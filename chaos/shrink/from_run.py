"""The failure of a saved run, as the input of the shrinker."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from raft_chaos.chaos.replay.as_sim import as_sim
from raft_chaos.chaos.replay.confirm import undamaged
from raft_chaos.chaos.reproduction.file import Origin
from raft_chaos.chaos.run.settings import settings_of
from raft_chaos.chaos.schedule.file import load
from raft_chaos.chaos.shrink.failure import Failure
from raft_chaos.invariants.rundir import RunDir
from raft_chaos.invariants.verdict import Verdict


class NothingToShrinkError(Exception):
    """The run violates no invariant, or not the requested one. The message says which it violates."""


class UnknownInvariantError(Exception):
    """No invariant has this name. The message lists the names."""


def failure_in(run: RunDir, invariant: str | None, progress: Callable[[str], None] = lambda stage: None) -> Failure:
    """The first violation of the run, or that of the invariant. Calls `progress(stage)` before each of the two steps,
    which take about as long as the run did: "judged again" and "executed again".

    Raises DamagedError, NothingToShrinkError, UnknownInvariantError, MergeError, ReplayError, RunDirError,
    ScheduleError.
    """
    progress("judged again")
    verdicts = undamaged(run)
    info = run.load_info()
    settings = settings_of(run, info)
    chosen = chosen_invariant(run, verdicts, invariant)
    progress("executed again")
    again = as_sim(run)  # for a run in virtual time, this checks that its schedule still gives the same trace
    return Failure(
        invariant=chosen,
        mutant=info.mutant,
        timing=settings.timing,
        schedule=load(run.schedule),
        origin=Origin(world=info.world, seed=info.seed, commit=info.commit, versions=info.versions),
        execution=again.execution if info.world == "live" else None,
        max_events=settings.max_events,
    )


def chosen_invariant(run: RunDir, verdicts: Sequence[Verdict], invariant: str | None) -> str:
    """The invariant that was asked for, if it is violated, or the first violated one.

    Raises NothingToShrinkError, UnknownInvariantError.
    """
    if invariant is not None and invariant not in (names := [verdict.invariant for verdict in verdicts]):
        raise UnknownInvariantError(f"there is no {invariant!r}; there are {', '.join(names)}")
    violated = [verdict for verdict in verdicts if verdict.outcome == "violated"]
    if not violated:
        raise NothingToShrinkError(f"{run.path}: no invariant is violated")
    chosen = min(violated, key=_shown_at_us).invariant if invariant is None else invariant
    if chosen not in {verdict.invariant for verdict in violated}:
        there = ", ".join(verdict.invariant for verdict in violated)
        raise NothingToShrinkError(f"{run.path}: {chosen} is not violated; violated: {there}")
    return chosen


def _shown_at_us(verdict: Verdict) -> int:
    """The time of the last event in the witness of its first violation."""
    return max((item.t_us for item in verdict.violations[0].witness), default=0)


def is_of_another_system(run: RunDir) -> bool:
    """Whether the run broke a system of somebody else. Raises RunDirError for a run.json that cannot be read.

    It needs no more of the settings than that: a run that is damaged, or of an older version, is told so by others.
    """
    config = run.load_info().config
    return bool(config.get("command") or config.get("foreign"))
