"""Is one seed one trace? Each seed is run in separate processes, and the traces must be the same to the last byte.

The processes differ in what must not matter: they hash strings differently (PYTHONHASHSEED), and their clocks, process
numbers and unseeded generators are their own. With lockstep, one more runs the seed with real node processes.

Only digests are compared. Where two of them differ, runs in `sim` are repeated and recorded. A run in `lockstep` is
recorded the first time, since what went wrong there may not repeat. Records are made in a temporary folder and moved
when they are complete, so that whatever ends this early leaves nothing half done.
"""

from __future__ import annotations

import os
import shutil
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import BrokenExecutor, Future
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Literal

import msgspec

from raft_chaos.chaos.campaign.file import seed_ranges
from raft_chaos.chaos.campaign.selfcheck_worker import Answer, run_side
from raft_chaos.chaos.processes.worker_pool import WorkerPool
from raft_chaos.chaos.run.settings import Settings, World
from raft_chaos.invariants.rundir import RunDir
from raft_chaos.invariants.trace import Difference, first_difference

SIM_SIDES: tuple[tuple[World, int], ...] = (("sim", 1), ("sim", 2))
LOCKSTEP_SIDE: tuple[World, int] = ("lockstep", 3)
"""The world that a process runs, and its PYTHONHASHSEED."""

WINDOW_PER_JOB = 2
"""So many seeds a process are handed out at once: none waits for work while one is compared."""

MOST_UNEQUAL = 20
"""Where so many seeds are not equal, the rest would tell nothing new."""


class SelfcheckError(Exception):
    """The comparison cannot go on: says at which seeds, and why."""


class Checked(msgspec.Struct, frozen=True):
    """One seed: the answers of all sides, and those of the first two that differ, recorded, where no side failed."""

    seed: int
    answers: list[Answer]
    parted: tuple[Answer, Answer] | None = None

    @property
    def every(self) -> list[Answer]:
        return [*self.answers, *(self.parted or ())]

    @property
    def outcome(self) -> Literal["equal", "different", "failed"]:
        if any(answer.failed for answer in self.every):
            return "failed"
        return "equal" if self.parted is None else "different"

    def difference(self) -> Difference | None:
        """Where the recorded runs part; None if they did not part again. Raises RunDirError."""
        assert self.parted is not None
        left, right = (RunDir(Path(answer.run or "")) for answer in self.parted)
        return first_difference(left.trace(), right.trace())


class _Side(WorkerPool):
    """Processes that run one world, and that hash strings in one way. As a context manager it waits for them at a
    normal end, and otherwise gives up whatever they do."""

    def __init__(self, world: World, hash_seed: int, jobs: int, temp: Path) -> None:
        super().__init__(jobs, temp)
        self.world = world
        self.name = f"{world}-{hash_seed}"
        self._temp = temp
        # What a killed process leaves in its temporary folder is removed with ours.
        self._environment = {"PYTHONHASHSEED": str(hash_seed), "TMPDIR": str(temp)}

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.shutdown(wait=kind is None)

    def begin(self, settings: Settings, seed: int, *, recorded: bool) -> Future[Answer]:
        """Raises BrokenExecutor if a process of this side has died."""
        run = self._temp / f"{seed}-{self.name}" if recorded or self.world == "lockstep" else None
        # The command that repeats this run alone.
        options = ["--world", self.world, *settings.options]
        settings = msgspec.structs.replace(settings, world=self.world, options=options)
        with _environment(self._environment):  # of the processes that this call starts
            return self.submit(run_side, self.name, settings, seed, run, self._temp)


class Selfcheck:
    """The processes in which seeds are compared, `jobs` of each side. A context manager: at its end none is left."""

    def __init__(self, *, lockstep: bool, jobs: int) -> None:
        self._worlds = (*SIM_SIDES, LOCKSTEP_SIDE) if lockstep else SIM_SIDES
        self._jobs = jobs
        self._sides: list[_Side] = []
        self._stack = ExitStack()

    def __enter__(self) -> Selfcheck:
        with ExitStack() as stack:
            folder = TemporaryDirectory(prefix="raft-chaos-", ignore_cleanup_errors=True)
            temp = Path(stack.enter_context(folder))
            self._sides = [stack.enter_context(_Side(*world, self._jobs, temp)) for world in self._worlds]
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def check(self, settings: Settings, seeds: Sequence[int], out: Path) -> Iterator[Checked]:
        """Compares each seed once, in the order given; ends early if too many are not equal.

        `out` gets a folder with the recorded runs of seeds that differ, and no folder if none does. Raises
        SelfcheckError if a process dies, and if a record cannot be saved.
        """
        records = out / f"selfcheck-{datetime.now(UTC):%Y%m%dT%H%M%S}-{os.getpid()}"
        waiting = iter(dict.fromkeys(seeds))
        under_way: deque[tuple[int, list[Future[Answer]]]] = deque()
        unequal = 0
        try:
            while True:
                while unequal < MOST_UNEQUAL and len(under_way) < WINDOW_PER_JOB * self._jobs:
                    if (seed := next(waiting, None)) is None:
                        break
                    under_way.append((seed, []))
                    under_way[-1][1].extend(side.begin(settings, seed, recorded=False) for side in self._sides)
                if not under_way:
                    return
                seed, futures = under_way[0]
                checked = self._compare(settings, seed, [future.result() for future in futures], records)
                under_way.popleft()
                unequal += checked.outcome != "equal"
                yield checked
        except BrokenExecutor:
            lost = seed_ranges([seed for seed, _ in under_way])
            raise SelfcheckError(f"a worker process died while these seeds were under way: {lost}") from None

    def _compare(self, settings: Settings, seed: int, answers: list[Answer], records: Path) -> Checked:
        """Also records what differs."""
        first = answers[0]
        others = [place for place, answer in enumerate(answers) if answer.trace_sha256 != first.trace_sha256]
        if not others and not first.failed:
            for answer in answers:
                if answer.run is not None:
                    shutil.rmtree(answer.run)
            return Checked(seed, answers)
        answers = [_kept(answer, seed, records) for answer in answers]
        if any(answer.failed for answer in answers):
            return Checked(seed, answers)
        again = {
            place: self._sides[place].begin(settings, seed, recorded=True)
            for place in (0, others[0])
            if answers[place].run is None
        }
        recorded = [
            _kept(again[place].result(), seed, records) if place in again else answers[place]
            for place in (0, others[0])
        ]
        return Checked(seed, answers, (recorded[0], recorded[1]))


def _kept(answer: Answer, seed: int, records: Path) -> Answer:
    """The answer with its run directory moved to where it stays, if it has one."""
    if answer.run is None or not Path(answer.run).exists():
        return msgspec.structs.replace(answer, run=None)
    kept = records / Path(answer.run).name
    try:
        records.mkdir(parents=True, exist_ok=True)
        shutil.move(answer.run, kept)
    except OSError as error:
        raise SelfcheckError(f"seed {seed} is not equal, and its runs cannot be saved in {records}: {error}") from error
    return msgspec.structs.replace(answer, run=str(kept))


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """These variables are set meanwhile."""
    before = {name: os.environ.get(name) for name in variables}
    try:
        os.environ.update(variables)
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
