"""The workers of a Dask cluster (the extra `dask`): those of a scheduler that runs already, or of a cluster of our own.

A cluster of our own has one process a job on this machine, listens on the loopback interface alone, and has no
dashboard. Its processes end with this one, also if this one is killed; then the reaper removes their folder.

Dask itself hands the batch of a worker that died to another one, and gives it up after the third death.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from multiprocessing.resource_tracker import ensure_running
from typing import TYPE_CHECKING

from raft_chaos.chaos.campaign.workers import Workers, WorkersError
from raft_chaos.chaos.processes.interrupts import blocked
from raft_chaos.chaos.processes.safe_path import safe_interpreters
from raft_chaos.chaos.processes.supervisor import temporary_folder

if TYPE_CHECKING:
    from distributed import Client, LocalCluster

QUIET = {
    "distributed.worker.profile.enabled": False,
    "distributed.admin.system-monitor.interval": "10s",
    "distributed.worker.memory.monitor-interval": "1s",
}
"""How a cluster of our own differs from Dask's defaults: its processes look at themselves less often, which costs each
of them a few percent of a core, and nobody reads what they see."""

PATIENCE_S = 10.0
"""How long the scheduler may take to answer, and its first worker to come."""


@contextmanager
def dask_workers(scheduler: str | None, jobs: int) -> Iterator[Workers]:
    """The workers of the scheduler at this address, "tcp://HOST:PORT"; with None of a cluster of `jobs` processes.

    Raises WorkersError if Dask is not installed, the scheduler does not answer, or it has no worker.
    """
    try:
        import distributed
    except ImportError:
        raise WorkersError("--executor dask: Dask is not installed; pip install 'raft-chaos[dask]'") from None
    logging.getLogger("distributed").setLevel(logging.CRITICAL)  # what a worker's death costs, the campaign says
    with ExitStack() as stack:
        # Only this process gets Ctrl-C: the threads and processes that start here have the signals blocked. The first
        # process of multiprocessing, its resource tracker, unblocks them when it is started.
        with safe_interpreters(), blocked():
            ensure_running()
        with safe_interpreters(), blocked():
            own = None if scheduler else stack.enter_context(_own_cluster(jobs))
            try:
                client = stack.enter_context(
                    distributed.Client(own or scheduler, timeout=PATIENCE_S, set_as_default=False)
                )
                client.wait_for_workers(1, timeout=PATIENCE_S)
            except (OSError, TimeoutError, ValueError) as error:
                where = f"--scheduler: {scheduler}" if scheduler else "--executor dask: the cluster of this command"
                raise WorkersError(f"{where}: {_reason(error)}") from None
        yield Workers(client.get_executor, _threads(client), far=True)


@contextmanager
def _own_cluster(jobs: int) -> Iterator[LocalCluster]:
    import dask
    from distributed import LocalCluster

    with (
        temporary_folder() as folder,
        dask.config.set(QUIET, temporary_directory=str(folder)),
        LocalCluster(
            n_workers=jobs,
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",  # None would be port 8787 of all interfaces
            worker_dashboard_address=None,
            silence_logs=logging.CRITICAL,
        ) as cluster,
    ):
        yield cluster


def _threads(client: Client) -> int:
    return sum(client.nthreads().values())


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError) and "worker" in str(error):
        return f"it has no worker after {PATIENCE_S:g} s; start some with `dask worker`"
    return f"no Dask scheduler answers there ({error}); start one with `dask scheduler`"
