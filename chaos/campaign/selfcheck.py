"""Checks that one seed gives one trace: runs each seed in separate processes, and compares the traces byte for byte.

The processes differ in everything that must not matter: they hash strings differently (PYTHONHASHSEED), and have their
own clocks, process numbers and unseeded generators. With lockstep, one more process runs the seed with real nodes. With
native, one process uses the sources and the other the compiled modules (`processes.compiled`).

The check compares only digests. If two of them differ, it repeats the runs in `sim` and records them. It records a run
in `lockstep` the first time, since an error there may not repeat. It makes records in a temporary folder and moves
complete ones, so an early end leaves no partial record.
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
from types import TracebackType
from typing import Literal, NamedTuple

import msgspec

from raft_chaos.chaos.campaign.file import seed_ranges
from raft_chaos.chaos.campaign.selfcheck_worker import Answer, run_side
from raft_chaos.chaos.processes.compiled import PURE
from raft_chaos.chaos.processes.supervisor import temporary_folder
from raft_chaos.chaos.processes.worker_pool import WorkerPool
from raft_chaos.chaos.run.settings import Settings
from raft_chaos.chaos.run.world import World
from raft_chaos.invariants.rundir import RunDir
from raft_chaos.invariants.trace import Difference, first_difference

WINDOW_PER_JOB = 2
"""How many seeds each process has under way, so that no process waits for work while one seed is compared."""

MOST_UNEQUAL = 20
"""After this many unequal seeds, the rest would show nothing new."""


class SelfcheckError(Exception):
    """The comparison cannot continue. The message says at which seeds, and why."""


class Checked(msgspec.Struct, frozen=True):
    """One seed: the answers of all sides, and, if no side failed, the recorded answers of the first two that differ."""

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
        """The first difference of the recorded runs; None if they did not differ again. Raises RunDirError."""
        assert self.parted is not None
        left, right = (RunDir(Path(answer.run or "")) for answer in self.parted)
        return first_difference(left.trace(), right.trace())


class Kind(NamedTuple):
    """What the processes of a side do, and its name in the report. `code` is None where it is as in this process."""

    name: str
    world: World
    hash_seed: int
    code: Literal["pure", "compiled"] | None = None


def kinds(*, lockstep: bool, native: bool) -> list[Kind]:
    """The sides of a comparison."""
    if native:
        sides = [Kind("sim-pure", "sim", 1, "pure"), Kind("sim-compiled", "sim", 2, "compiled")]
    else:
        sides = [Kind("sim-1", "sim", 1), Kind("sim-2", "sim", 2)]
    return [*sides, Kind("lockstep-3", "lockstep", 3)] if lockstep else sides


class _Side(WorkerPool):
    """Processes that run one world, and hash strings in one way. As a context manager it waits for them at a normal
    end, and otherwise ends them at once."""

    def __init__(self, kind: Kind, jobs: int, temp: Path) -> None:
        super().__init__(jobs, temp)
        self.world, self.name, self._code = kind.world, kind.name, kind.code
        self._temp = temp
        # The temporary folder of a killed process is removed with ours.
        self._environment = {"PYTHONHASHSEED": str(kind.hash_seed), "TMPDIR": str(temp)}
        if kind.code is not None:
            self._environment[PURE] = "1" if kind.code == "pure" else ""

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.shutdown(wait=kind is None)

    def begin(self, settings: Settings, seed: int, *, recorded: bool) -> Future[Answer]:
        """Raises BrokenExecutor if a process of this side has died."""
        run = self._temp / f"{seed}-{self.name}" if recorded or self.world == "lockstep" else None
        # These options make the command that repeats only this run. Nodes in sim have no handshake.
        peer_auth = settings.peer_auth and self.world != "sim"
        options = ["--world", self.world, *(["--peer-auth"] if peer_auth else []), *settings.options]
        settings = msgspec.structs.replace(settings, world=self.world, options=options, peer_auth=peer_auth)
        with _environment(self._environment):  # for the processes that this call starts
            return self.submit(run_side, self.name, settings, seed, run, self._temp, self._code == "compiled")


class Selfcheck:
    """The processes that run the seeds, `jobs` for each side. A context manager: at its end none is left."""

    def __init__(self, *, lockstep: bool = False, native: bool = False, jobs: int) -> None:
        self._kinds = kinds(lockstep=lockstep, native=native)
        self._jobs = jobs
        self._sides: list[_Side] = []
        self._stack = ExitStack()

    def __enter__(self) -> Selfcheck:
        with ExitStack() as stack:
            temp = stack.enter_context(temporary_folder())
            self._sides = [stack.enter_context(_Side(kind, self._jobs, temp)) for kind in self._kinds]
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
        """Compares the answers of one seed, and records its runs if they differ."""
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
    """The answer with its run directory, if it has one, moved to its final place."""
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
    """Sets these environment variables inside the `with` block."""
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
