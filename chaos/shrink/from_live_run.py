"""The failure of a saved run of somebody else's system, as the input of the shrinker by live runs."""

from __future__ import annotations

from raft_chaos.chaos.replay.confirm import undamaged
from raft_chaos.chaos.reproduction.file import Expected, Origin, Reproduction, Scenario
from raft_chaos.chaos.reproduction.system import Rate, System, system_of
from raft_chaos.chaos.run.settings import saved_settings
from raft_chaos.chaos.schedule.file import load
from raft_chaos.chaos.shrink.from_run import chosen_invariant
from raft_chaos.chaos.shrink.live_schedules import Convicted, LiveFailure, convicted
from raft_chaos.invariants.rundir import RunDir
from raft_chaos.raft.state.timing import Timing


class FoundFailure(LiveFailure):
    """The failure, and what its reproduction says of where it was found."""

    def __init__(self, whole: Convicted, system: System, timing: Timing, origin: Origin) -> None:
        super().__init__(whole.violation.invariant, system.settings(timing, whole.schedule.header), whole)
        self._system, self._timing, self._origin = system, timing, origin

    @property
    def name(self) -> str:
        return self._system.name

    def reproduction(self, state: Convicted, before: Rate, rate: Rate | None) -> Reproduction:
        return Reproduction(
            expected=Expected(violation=state.violation, trace_sha256=""),
            mutant=None,
            origin=self._origin,
            scenario=Scenario(timing=self._timing, schedule=state.schedule),
            system=self._system.measured(before, rate),
        )


def live_failure_in(run: RunDir, invariant: str | None) -> FoundFailure:
    """The first violation of the run, or that of the invariant.

    Raises DamagedError, NothingToShrinkError, UnknownInvariantError, RunDirError, ScheduleError, TargetError.
    """
    verdicts, info = undamaged(run), run.load_info()
    settings = saved_settings(run, info)
    schedule = load(run.schedule)
    info.invariants = verdicts
    whole = convicted(run, info, schedule, chosen_invariant(run, verdicts, invariant))
    assert whole is not None, "a violated invariant has a violation"
    origin = Origin(world=info.world, seed=info.seed, commit=info.commit, versions=info.versions)
    return FoundFailure(whole, system_of(settings), settings.timing, origin)
