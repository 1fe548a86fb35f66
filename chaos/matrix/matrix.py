"""All hunts of a matrix, on a pool of processes, each written to a file as it ends: a matrix that was stopped goes on.

The file's name has a hash of the code, since other code gives another matrix. A run with real processes uses all cores,
so hunts in such a world are done one after the other, in this process. The hunts without a part come last, since they
depend on how the others ended.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from itertools import islice
from pathlib import Path

import msgspec

from raft_chaos.chaos.campaign.line_file import LineFile, whole_lines
from raft_chaos.chaos.campaign.source import source_digest
from raft_chaos.chaos.matrix.cells import Cell, Hunt, Job
from raft_chaos.chaos.matrix.plan import left_out_jobs, plain_jobs
from raft_chaos.chaos.run.world import World
from raft_chaos.invariants.events import MALFORMED

_decode = msgspec.json.Decoder(Hunt).decode


class MatrixError(Exception):
    """The file of a matrix cannot be used. The message says which file, what is wrong, and what to do."""


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked for: so many `hunts` of each mutant in sim, one in each other world, and in sim also `without` each
    of these parts. A hunt gives up after `budget_s`."""

    mutants: Sequence[str]
    worlds: Collection[World]
    without: Collection[str]
    hunts: int
    budget_s: float


def file_in(folder: Path) -> Path:
    """The file of a matrix of this code."""
    return folder / f"matrix-{source_digest()}.jsonl"


def done_in(file: Path) -> list[Hunt]:
    """The hunts in the file of any matrix. Raises MatrixError, also if it is absent."""
    try:
        return whole_lines(file, _decode)
    except (OSError, *MALFORMED) as error:
        raise MatrixError(
            f"{file}: cannot be read as a matrix ({error}); expected a file of `raft-chaos matrix`"
        ) from None


class Matrix:
    """A matrix, its file open; use it as a context manager. `done` are the hunts that this order asks for and that have
    ended, in earlier calls too."""

    def __init__(self, folder: Path, order: Order) -> None:
        """Raises MatrixError if its file is damaged or another process has it open, OSError if it cannot be made."""
        self.order = order
        self._known: dict[tuple[Cell, int], Hunt] = {}
        self._file: LineFile[Hunt] = LineFile(
            file_in(folder), _decode, "matrix", MatrixError, lambda number, one: self._learn(one)
        )
        self.path = self._file.path

    def __enter__(self) -> Matrix:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    @property
    def jobs(self) -> list[Job]:
        """All hunts that are known to be asked for. Those without a part come in once the hunt with it has ended."""
        order = self.order
        plain = plain_jobs(order.mutants, order.worlds, order.hunts)
        return plain + left_out_jobs(self._ended(plain), order.without, order.hunts)

    @property
    def done(self) -> list[Hunt]:
        return self._ended(self.jobs)

    @property
    def left(self) -> list[Job]:
        return [job for job in self.jobs if not self._is_done(job)]

    def run(self, executor: Executor, window: int, time_limit_s: float, stopped: Callable[[], bool]) -> Iterator[Hunt]:
        """Does the hunts that are left, at most `window` at once in sim, and yields each as it ends. It begins none
        after `time_limit_s`, or once `stopped` says so."""
        deadline_s = time.monotonic() + time_limit_s

        def over() -> bool:
            return stopped() or time.monotonic() >= deadline_s

        for in_pool, without in ((True, False), (False, False), (True, True)):
            jobs = [
                job for job in self.left if (job.cell.world == "sim") == in_pool and bool(job.cell.without) == without
            ]
            ended = (
                self._together(executor, jobs, window, over, stopped) if in_pool else self._alone(jobs, over, stopped)
            )
            for one in ended:
                self._file.append(one)
                self._learn(one)
                yield one

    def _together(
        self,
        executor: Executor,
        jobs: Sequence[Job],
        window: int,
        over: Callable[[], bool],
        stopped: Callable[[], bool],
    ) -> Iterator[Hunt]:
        from raft_chaos.chaos.matrix.hunt import hunt  # it brings the simulator, and an estimate runs nothing

        waiting = iter(jobs)
        under_way: set[Future[Hunt | None]] = set()
        while True:
            if not over():
                for job in islice(waiting, window - len(under_way)):
                    under_way.add(executor.submit(hunt, job, self.order.budget_s))
            if not under_way:
                return
            ended, under_way = wait(under_way, timeout=0.5, return_when=FIRST_COMPLETED)
            yield from (one for future in ended if (one := future.result()) is not None)
            if stopped():
                return

    def _alone(self, jobs: Sequence[Job], over: Callable[[], bool], stopped: Callable[[], bool]) -> Iterator[Hunt]:
        from raft_chaos.chaos.matrix.hunt import hunt

        for job in jobs:
            if over():
                return
            if (one := hunt(job, self.order.budget_s, stopped)) is not None:
                yield one

    def _learn(self, one: Hunt) -> None:
        self._known[one.cell, one.start] = one

    def _is_done(self, job: Job) -> bool:
        one = self._known.get((job.cell, job.start))
        return one is not None and one.settles(job, self.order.budget_s)

    def _ended(self, jobs: Sequence[Job]) -> list[Hunt]:
        return [self._known[job.cell, job.start] for job in jobs if self._is_done(job)]
