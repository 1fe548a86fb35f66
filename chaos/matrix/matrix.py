"""All hunts of a matrix, on a pool of processes, each written to a file as it ends: a matrix that was stopped goes on.

The file's name has a hash of the code, since other code gives another matrix. In sim a cell has several hunts, from
first seeds that lie far apart; a run with real processes uses all cores, so such cells are hunted one after the other,
and once.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from fcntl import LOCK_EX, LOCK_NB, flock
from itertools import islice
from pathlib import Path

import msgspec

from raft_chaos.chaos.campaign.file import source_digest
from raft_chaos.chaos.matrix.hunt import Cell, Hunt, hunt
from raft_chaos.chaos.run.world import World
from raft_chaos.invariants.events import MALFORMED

STARTS_APART = 100_000


class MatrixError(Exception):
    """The file of a matrix cannot be used. The message says which file, what is wrong, and what to do."""


class Job(msgspec.Struct, frozen=True):
    """One hunt that is to be done."""

    cell: Cell
    start: int


def jobs_of(mutants: Sequence[str], worlds: Sequence[World], without: Sequence[str], hunts: int) -> list[Job]:
    """What each matrix needs first comes first: every mutant in sim, then in the other worlds, then without each kind.

    Only the first half of the hunts, rounded up, leaves out kinds of faults: these are many, and a tendency is enough.
    """
    starts = [1 + STARTS_APART * n for n in range(hunts)]
    jobs = [Job(Cell(mutant=mutant, world="sim"), start) for start in starts for mutant in mutants if "sim" in worlds]
    jobs += [Job(Cell(mutant=m, world=world), 1) for world in worlds if world != "sim" for m in mutants]
    few = starts[: (hunts + 1) // 2] if "sim" in worlds else []
    jobs += [
        Job(Cell(mutant=mutant, world="sim", without=kind), start)
        for start in few
        for kind in without
        for mutant in mutants
    ]
    return jobs


def file_in(folder: Path) -> Path:
    """The file of a matrix of this code."""
    return folder / f"matrix-{source_digest()}.jsonl"


def done_in(file: Path) -> list[Hunt]:
    """The hunts in the file, which may be absent. A torn last line, which a kill leaves, is left out.

    Raises MatrixError.
    """
    try:
        lines = file.read_bytes().splitlines(keepends=True) if file.exists() else []
        return [msgspec.json.decode(line, type=Hunt) for line in lines if line.endswith(b"\n")]
    except (OSError, *MALFORMED) as error:
        raise MatrixError(f"{file}: cannot be read as a matrix ({error}); remove it to begin again") from None


class Matrix:
    """The hunts of these jobs: `done`, and those that are `left`. `run` does them, at most `window` at once in sim, and
    yields each as it ends.

    It begins no hunt after `time_limit_s`, or once `stopped` says so. A hunt that an earlier call gave up after less
    than `budget_s` is done again.
    """

    def __init__(self, file: Path, jobs: Sequence[Job], budget_s: float, time_limit_s: float) -> None:
        self.file = file
        known = {Job(one.cell, one.start): one for one in done_in(file) if one.violated or one.spent_s >= budget_s}
        self.done = [known[job] for job in jobs if job in known]
        self.left = [job for job in jobs if job not in known]
        self._budget_s = budget_s
        self._deadline_s = time.monotonic() + time_limit_s

    def run(self, executor: Executor, window: int, stopped: Callable[[], bool]) -> Iterator[Hunt]:
        alone = [job for job in self.left if job.cell.world != "sim"]
        together = iter([job for job in self.left if job.cell.world == "sim"])
        with self.file.open("ab") as file:
            try:
                flock(file, LOCK_EX | LOCK_NB)
            except BlockingIOError:
                raise MatrixError(f"{self.file}: this matrix is under way in another process; let it end") from None
            self._cut_torn_line()
            for ended in self._ended(executor, together, window, stopped, alone):
                file.write(msgspec.json.encode(ended) + b"\n")
                file.flush()
                self.done.append(ended)
                yield ended

    def _ended(
        self,
        executor: Executor,
        together: Iterator[Job],
        window: int,
        stopped: Callable[[], bool],
        alone: Iterable[Job],
    ) -> Iterator[Hunt]:
        def over() -> bool:
            return stopped() or time.monotonic() >= self._deadline_s

        under_way: set[Future[Hunt | None]] = set()
        while True:
            if not over():
                for job in islice(together, window - len(under_way)):
                    under_way.add(executor.submit(hunt, job.cell, job.start, self._budget_s))
            if not under_way:
                break
            ended, under_way = wait(under_way, timeout=0.5, return_when=FIRST_COMPLETED)
            yield from (one for future in ended if (one := future.result()) is not None)
            if stopped():
                return
        for job in alone:
            if over():
                return
            if (one := hunt(job.cell, job.start, self._budget_s, stopped)) is not None:
                yield one

    def _cut_torn_line(self) -> None:
        content = self.file.read_bytes()
        os.truncate(self.file, content.rfind(b"\n") + 1)
