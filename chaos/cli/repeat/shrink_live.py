"""`raft-chaos shrink` of a run of somebody else's system: by repeated runs in real time."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from pathlib import Path

from raft_chaos.chaos.cli.common import fail, say
from raft_chaos.chaos.cli.result import Result
from raft_chaos.chaos.cli.width import columns
from raft_chaos.chaos.processes import interrupts
from raft_chaos.chaos.processes.supervisor import temporary_folder
from raft_chaos.chaos.reproduction.file import Reproduction, ReproductionError, load, save
from raft_chaos.chaos.reproduction.make import NotReproducedError
from raft_chaos.chaos.reproduction.system import Rate
from raft_chaos.chaos.run.settings import program
from raft_chaos.chaos.schedule.data import Schedule, ScheduleError
from raft_chaos.chaos.shrink.from_live_run import FoundFailure, live_failure_in
from raft_chaos.chaos.shrink.from_run import NothingToShrinkError, UnknownInvariantError
from raft_chaos.chaos.shrink.live_candidates import length_us
from raft_chaos.chaos.shrink.live_schedules import Convicted, LiveShrinker, LiveShrunk
from raft_chaos.chaos.shrink.search import WorkerDiedError
from raft_chaos.chaos.targets.protocol import TargetError
from raft_chaos.invariants.rundir import RunDir, RunDirError
from raft_chaos.invariants.seal import DamagedError
from raft_chaos.invariants.verdict import EXIT_HARNESS, EXIT_UNKNOWN
from raft_chaos.reports.commands.shrink import LiveShrunk as Report
from raft_chaos.reports.commands.shrink import live_shrunk_page

Tell = Callable[[str], None]


def shrink_live(
    run: RunDir, file: Path, invariant: str | None, budget_s: float, jobs: int | None, tell: Tell, as_json: bool
) -> Result:
    """Shrinks the run within the budget; writes each smaller reproduction at once, so the best so far is never lost."""
    try:
        failure = live_failure_in(run, invariant)
    except (RunDirError, ScheduleError) as error:
        fail(str(error))
    except TargetError as error:
        fail(f"{run.path} is a run of another system, which cannot be run here: {error}")
    except UnknownInvariantError as error:
        fail(f"--invariant: {error}")
    except (DamagedError, NothingToShrinkError) as error:
        return Result(EXIT_UNKNOWN, notes=[f"raft-chaos: {error}"])
    saved = _Saved(file, failure)
    with temporary_folder() as out:
        shrinker = LiveShrinker(
            failure,
            budget_s,
            jobs or 1,
            out,
            progress=lambda what, runs, schedule: tell(f"{what}: {_size(schedule)}, {runs} runs"),
            taken=lambda state, before: saved.keep(state, before, None),
        )
        try:
            with interrupts.held(lambda _: shrinker.interrupt()):
                shrunk = shrinker.run()
                file = saved.finish(shrunk)
        except WorkerDiedError as error:
            return Result(EXIT_HARNESS, notes=[f"raft-chaos: {error}"])
        except NotReproducedError as error:
            interrupted = interrupts.received() is not None
            why = f"raft-chaos: {run.path}: not reproduced: {failure.invariant}: {error}"
            return Result(EXIT_UNKNOWN, notes=[why], interrupted=interrupted)
        except OSError as error:
            fail(f"--out: cannot write {file} ({error.strerror})")
    report = _report(failure, shrunk, file)
    page = live_shrunk_page(report, shrunk.smallest.violation.message, f"{program()} repro {file}", columns())
    return Result(page=page, document=report, as_json=as_json, judged=True, interrupted=shrunk.interrupted)


class _Saved:
    """The file of the best so far. Where a smaller reproduction of the same failure is, it gets a name of its own."""

    def __init__(self, file: Path, failure: FoundFailure) -> None:
        self._wanted = self._file = file
        self._failure = failure
        self._there = _size_of(file, failure.invariant)
        if self._there is not None:
            self._file = next(name for n in count(2) if not (name := _numbered(file, n)).exists())

    def keep(self, state: Convicted, before: Rate, rate: Rate | None) -> None:
        """Raises OSError."""
        save(self._failure.reproduction(state, before, rate), self._file)

    def finish(self, shrunk: LiveShrunk) -> Path:
        """The file with the result: the wanted one, unless what is there is smaller. Raises OSError."""
        self.keep(shrunk.smallest, shrunk.before, shrunk.rate)
        if self._there is not None and self._there < _parts(shrunk.smallest.schedule):
            say(f"kept {self._wanted}, which is smaller")
        else:
            self._file = self._file.replace(self._wanted)
        return self._file


def _numbered(file: Path, number: int) -> Path:
    return file.with_name(f"{file.stem}-{number}{file.suffix}")


def _size_of(file: Path, invariant: str) -> int | None:
    """The number of parts of the reproduction of this failure that is there; None if there is none."""
    try:
        there: Reproduction = load(file)
    except ReproductionError:
        return None
    if there.expected.invariant != invariant or there.scenario is None:
        return None
    return _parts(there.scenario.schedule)


def _parts(schedule: Schedule) -> int:
    return len(schedule.faults) + len(schedule.operations) + len(schedule.header.nodes)


def _size(schedule: Schedule) -> str:
    return (
        f"{len(schedule.faults)} faults, {len(schedule.operations)} operations, {len(schedule.header.nodes)} nodes, "
        f"{length_us(schedule) / 1e6:.1f} s left"
    )


def _counts(schedule: Schedule) -> dict[str, float]:
    return {
        "faults": len(schedule.faults),
        "operations": len(schedule.operations),
        "clients": len({operation.client for operation in schedule.operations}),
        "nodes": len(schedule.header.nodes),
        "seconds": round(length_us(schedule) / 1e6, 1),
    }


def _report(failure: FoundFailure, shrunk: LiveShrunk, file: Path) -> Report:
    return Report(
        invariant=failure.invariant,
        system=failure.name,
        before=_counts(failure.whole.schedule),
        after=_counts(shrunk.smallest.schedule),
        rate_before=(shrunk.before.violated, shrunk.before.runs),
        rate=None if shrunk.rate is None else (shrunk.rate.violated, shrunk.rate.runs),
        runs=shrunk.runs,
        seconds=round(shrunk.seconds),
        minimal=shrunk.minimal,
        interrupted=shrunk.interrupted,
        worker_died=shrunk.worker_died,
        file=str(file),
    )
