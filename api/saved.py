"""What is done with a saved run, `check` and `shrink`, and with a reproduction file, `reproduce`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import msgspec

from raft_chaos.api import notebook
from raft_chaos.api.results import Run, Violation, saved_run, violations_of
from raft_chaos.chaos.execution.merge import MergeError
from raft_chaos.chaos.execution.steps import NotPlayableError
from raft_chaos.chaos.mutants import MUTANTS
from raft_chaos.chaos.processes.supervisor import temporary_folder
from raft_chaos.chaos.replay.confirm import judge_again
from raft_chaos.chaos.replay.result import ReplayError
from raft_chaos.chaos.reproduction.file import Reproduction, ReproductionError, load, save
from raft_chaos.chaos.reproduction.live_rate import not_applicable, run_often
from raft_chaos.chaos.reproduction.make import NotReproducedError
from raft_chaos.chaos.reproduction.reproduce import Outcome
from raft_chaos.chaos.reproduction.reproduce import reproduce as play
from raft_chaos.chaos.reproduction.system import Rate, on_this_machine
from raft_chaos.chaos.run.option import OptionError
from raft_chaos.chaos.schedule.data import ScheduleError
from raft_chaos.chaos.shrink.failure import Shrinker
from raft_chaos.chaos.shrink.from_live_run import FoundFailure, live_failure_in
from raft_chaos.chaos.shrink.from_run import NothingToShrinkError, failure_in, is_of_another_system
from raft_chaos.chaos.shrink.live_schedules import LiveShrinker
from raft_chaos.chaos.targets.protocol import TargetError
from raft_chaos.invariants.rundir import RunDir, RunDirError
from raft_chaos.invariants.seal import DamagedError

FILE = "reproduction.json"
BUDGET_S, LIVE_BUDGET_S = 60.0, 300.0
UNMODIFIED = "none"

CannotShrinkError = (
    DamagedError,
    MergeError,
    NothingToShrinkError,
    NotReproducedError,
    ReplayError,
    ScheduleError,
    TargetError,
)
"""What `shrink` raises for a run that has no failure, or one that does not repeat."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Reproduced:
    """What became of a reproduction file. `outcome` is "reproduced", "violated" (another invariant is), "holds" (the
    invariant holds now) or "unknown". `runs` are the saved runs: those in real time."""

    file: Path
    invariant: str
    outcome: Outcome
    world: str
    reason: str = ""
    violations: tuple[Violation, ...] = ()
    runs: tuple[Run, ...] = ()

    @property
    def holds(self) -> bool:
        return self.outcome == "holds"

    def __str__(self) -> str:
        lines = [f"{self.file}: {self.invariant}: {self.outcome} in {self.world}"]
        lines += [self.reason] if self.reason else []
        return "\n".join([*lines, *map(str, self.violations[:1])])

    def _repr_html_(self) -> str:
        verdict = {"holds": "valid", "unknown": "unknown"}.get(self.outcome, "violated")
        found = "".join(map(notebook.violation, self.violations[:1]))
        return f"<div><p>{notebook.badge(verdict, self.outcome)} {notebook.text(str(self.file))}</p>{found}</div>"


def check(path: str | Path) -> Run:
    """Judges a saved run again, from its events and its history, as `raft-chaos check` does.

    Raises RunDirError for a directory that is no run.
    """
    path = Path(path)
    try:
        analysis = judge_again(RunDir(path))
    except ScheduleError as error:
        raise RunDirError(str(error)) from None
    return saved_run(
        path,
        analysis.invariants,
        verdict=analysis.verdict,
        vacuous=tuple(analysis.vacuous),
        stats=dict(analysis.stats),
    )


def shrink(
    run: Run | str | Path, *, budget: float | None = None, anchors: bool = True, out: str | Path | None = None
) -> Path:
    """Makes the failure of a run smaller within `budget` seconds, and returns the reproduction file that it wrote.

    The file is RUN/reproduction.json unless `out` names another. By default the budget is 60 s; 300 s for a system of
    somebody else, which is run again and again. With a budget of 0 such a failure keeps its whole schedule. With
    `anchors`, faults are anchored to events of the protocol if that makes the failure come more often in real time.

    Raises one of `CannotShrinkError` for a run without a failure, or whose failure does not come again.
    """
    directory = RunDir(run.path if isinstance(run, Run) else Path(run))
    file = Path(out) if out is not None else directory.path / FILE
    if is_of_another_system(directory):
        budget_s = LIVE_BUDGET_S if budget is None else budget
        save(_small_for_live(live_failure_in(directory, None), budget_s), file)
    else:
        budget_s = BUDGET_S if budget is None else budget
        save(Shrinker(failure_in(directory, None), budget_s, jobs=1, anchors=anchors).run().reproduction, file)
    return file


def _small_for_live(failure: FoundFailure, budget_s: float) -> Reproduction:
    if budget_s <= 0:
        return failure.reproduction(failure.whole, Rate(1, 1), None)
    with temporary_folder() as folder:
        shrunk = LiveShrinker(failure, budget_s, 1, folder).run()
    return failure.reproduction(shrunk.smallest, shrunk.before, shrunk.rate)


def reproduce(file: str | Path, *, mutant: str | None = None, repeat: int = 1, out: str | Path = "runs") -> Reproduced:
    """Runs a reproduction file again over the installed code, as `raft-chaos repro` does.

    A failure of our own Raft is played in sim, where one run tells all. That of another system is run in real time,
    at most `repeat` times, until it fails; these runs are saved under `out`. `mutant` replaces the one in the file;
    "none" is the unmodified core. Raises ReproductionError for a file that cannot be used.
    """
    file = Path(file)
    reproduction = load(file)
    if mutant is not None and mutant not in (UNMODIFIED, *MUTANTS):
        raise OptionError("mutant", f"there is no {mutant!r}; there are {UNMODIFIED}, {', '.join(MUTANTS)}")
    if reproduction.foreign is not None:
        return _in_live(file, reproduction, repeat, Path(out))
    core = reproduction.mutant if mutant is None else None if mutant == UNMODIFIED else mutant
    invariant = reproduction.expected.invariant
    try:
        played = play(reproduction, core)
    except NotPlayableError as error:
        return Reproduced(file=file, invariant=invariant, outcome="unknown", world="sim", reason=str(error))
    found = tuple(violations_of(played.verdicts))
    return Reproduced(file=file, invariant=invariant, outcome=played.outcome, world="sim", violations=found)


def _in_live(file: Path, reproduction: Reproduction, repeat: int, out: Path) -> Reproduced:
    invariant = reproduction.expected.invariant
    if why := not_applicable(reproduction):
        return Reproduced(file=file, invariant=invariant, outcome="unknown", world="live", reason=why)
    assert reproduction.foreign is not None
    out.mkdir(parents=True, exist_ok=True)
    outcome: Outcome = "holds"
    told: list[str] = []
    runs: list[Run] = []
    with temporary_folder() as folder:
        try:
            system, told = on_this_machine(reproduction.foreign, folder)
        except TargetError as error:
            raise ReproductionError(f"{file}: {error}") from None
        for one in run_often(msgspec.structs.replace(reproduction, system=system), None, repeat, out):
            runs.append(saved_run(one.run.path))
            if one.interrupted:
                raise KeyboardInterrupt
            if one.outcome in ("reproduced", "violated"):
                outcome = one.outcome
                break
            outcome = "unknown" if one.outcome == "unknown" else outcome
    return Reproduced(
        file=file,
        invariant=invariant,
        outcome=outcome,
        world="live",
        reason="; ".join(told),
        violations=runs[-1].violations if outcome in ("reproduced", "violated") else (),
        runs=tuple(runs),
    )
