"""The same campaign on Dask's workers and on processes of this machine, two each: what batches and the network cost.

The clock begins with the first results: starting workers is not measured, nor is loading their modules.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from importlib.util import find_spec
from pathlib import Path
from time import monotonic

from bench.measures import Bench, Row
from raft_chaos.chaos.campaign.campaign import WINDOW_PER_JOB, Campaign
from raft_chaos.chaos.campaign.dask_workers import dask_workers
from raft_chaos.chaos.campaign.workers import Workers, own_processes
from raft_chaos.chaos.run.options import settings_of

JOBS = 2
IS_INSTALLED = find_spec("distributed") is not None


def measure(bench: Bench) -> list[Row]:
    """The rows of `python -m bench --only executors`; each round has other seeds."""
    row = Row(f"a campaign in sim with {JOBS} workers: seeds/s", [], [], more_is_better=True)
    count = bench.sizes.seeds
    for number in range(bench.sizes.rounds):
        seeds = range(1 + number * count, 1 + (number + 1) * count)
        sides: list[tuple[list[float], AbstractContextManager[Workers]]]
        sides = [(row.ours, dask_workers(None, JOBS)), (row.theirs, nullcontext(own_processes(JOBS)))]
        for figures, opened in sides if number % 2 == 0 else reversed(sides):
            figures.append(_seeds_per_s(bench.new_folder(), opened, seeds))
    return [row]


def _seeds_per_s(folder: Path, opened: AbstractContextManager[Workers], seeds: range) -> float:
    settings, _ = settings_of({"world": "sim", "rate": 30.0})
    with opened as workers, Campaign(settings, seeds, folder) as campaign:
        began_s, first = 0.0, len(seeds) // 5
        for number, _ in enumerate(campaign.run(workers.open, WINDOW_PER_JOB * JOBS, far=workers.far)):
            if number == first:
                began_s = monotonic()
        return (len(seeds) - 1 - first) / (monotonic() - began_s)
