"""`cluster`: nodes that a script or a test breaks by hand, in any world."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Unpack

from raft_chaos.api.results import Run, ViolatedError, saved_run
from raft_chaos.chaos.run.option import OptionError
from raft_chaos.chaos.run.options import Options, settings_of
from raft_chaos.chaos.run.settings import new_run_dir
from raft_chaos.chaos.testing.by_hand.cluster import Cluster
from raft_chaos.chaos.testing.by_hand.settings import open_cluster

MEANINGLESS = ("schedule", "duration", "warmup", "liveness", "rate", "clients", "faults", "fault_interval")
"""Options of a schedule, which a cluster by hand does not have."""
LONG_S = 1e6


@contextmanager
def cluster(*, seed: int = 1, out: str | Path = "runs", **options: Unpack[Options]) -> Iterator[Cluster]:
    """A cluster whose nodes are up, 3 of them by default. After the block its nodes are gone, and what they did and
    what the operations saw is judged and saved.

    Raises OptionError, SetupError, HarnessError; after the block ViolatedError if an invariant is violated. What the
    block itself raises comes first.
    """
    opened = opened_cluster(options, seed, Path(out))
    try:
        yield opened
    finally:
        done = closed_cluster(opened)
    if done.verdict == "violated":
        raise ViolatedError(done)


def opened_cluster(options: Mapping[str, Any], seed: int, out: Path) -> Cluster:
    """The cluster, whose nodes are up."""
    for name in MEANINGLESS:
        if name in options:
            raise OptionError(name, "a cluster by hand has no schedule; leave it out")
    settings, _ = settings_of({"nodes": 3, "swarm": False, **options, "duration": LONG_S})
    return open_cluster(settings, seed, new_run_dir(out, seed))


def closed_cluster(opened: Cluster) -> Run:
    """Its run, judged and saved."""
    opened.close()
    return saved_run(opened.path)
