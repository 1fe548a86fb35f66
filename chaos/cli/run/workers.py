"""The options that choose where the seeds of a campaign run: --executor, --scheduler and --jobs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from raft_chaos.chaos.campaign.workers import Workers, WorkersError, own_processes
from raft_chaos.chaos.cli.common import fail
from raft_chaos.chaos.cli.run.executor_options import ExecutorName


@contextmanager
def chosen_workers(executor: ExecutorName, scheduler: str | None, jobs: int | None) -> Iterator[Workers]:
    """Where the seeds run, until the block ends. Ends with exit code 254 for options that do not go together, and if
    there are no such workers."""
    if scheduler is not None and executor != "dask":
        fail("--scheduler: it is the address of a Dask scheduler; say --executor dask, too")
    if scheduler is not None and jobs is not None:
        fail("--jobs: with --scheduler as many seeds run at once as that has workers; leave out one of the two")
    if executor == "processes":
        yield own_processes(jobs or os.cpu_count() or 1)
        return
    from raft_chaos.chaos.campaign.dask_workers import dask_workers

    with ExitStack() as stack:
        try:
            workers = stack.enter_context(dask_workers(scheduler, jobs or os.cpu_count() or 1))
        except WorkersError as error:
            fail(str(error))
        yield workers
