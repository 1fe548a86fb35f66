"""Where the seeds of a campaign run: processes of this machine, or workers that may be anywhere."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from typing import NamedTuple


class WorkersError(Exception):
    """There are no such workers. The message says which option is wrong, why, and what to do."""


class Workers(NamedTuple):
    """`open` gives an executor, again after each death of a worker that broke it; `jobs` seeds run at once. `far`: they
    may be on other machines, and share no folder with this process."""

    open: Callable[[], Executor]
    jobs: int
    far: bool = False


def own_processes(jobs: int) -> Workers:
    """So many processes of this machine."""

    def pool() -> Executor:
        from raft_chaos.chaos.processes.worker_pool import WorkerPool  # what begins before the first of them needs none

        return WorkerPool(jobs)

    return Workers(pool, jobs)
