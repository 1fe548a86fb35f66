"""`run` breaks a cluster by one seed, `run_seeds` by each of several."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import ParamSpec, TypeVar, Unpack

from raft_chaos.api.results import Campaign, Run, SeedResult, saved_run
from raft_chaos.api.seeds import seeds_of
from raft_chaos.chaos.campaign import campaign
from raft_chaos.chaos.campaign.batch import SeedEnd
from raft_chaos.chaos.campaign.file import CampaignError, SeedFailed
from raft_chaos.chaos.campaign.seed import run_seed
from raft_chaos.chaos.campaign.seed_result import SeedResult as SeedEnded
from raft_chaos.chaos.processes import interrupts
from raft_chaos.chaos.processes.shortage import HarnessError
from raft_chaos.chaos.run import needs
from raft_chaos.chaos.run.directory import keep_what_failed
from raft_chaos.chaos.run.option import OptionError
from raft_chaos.chaos.run.options import Options, settings_of
from raft_chaos.chaos.run.settings import Settings, describe, new_run_dir
from raft_chaos.chaos.run.worlds import run_in_world
from raft_chaos.chaos.schedule.data import Schedule

P = ParamSpec("P")
T = TypeVar("T")


def run(
    *, seed: int | None = None, out: str | Path = "runs", fail_fast: bool = False, **options: Unpack[Options]
) -> Run:
    """Breaks a cluster on purpose, judges it, and saves everything in a new directory under `out`.

    The seed decides the run; without one it is drawn, or it is that of the given `schedule`. With `fail_fast` the run
    ends at the first violation. The options are those of `raft-chaos run`.

    Raises OptionError for options that cannot be used, SetupError for a run that cannot begin on this machine, and
    HarnessError if the harness itself failed; a verdict, whatever it is, raises nothing.
    """
    settings, saved = settings_of(options)
    if seed is None:
        seed = saved.header.seed if saved is not None else secrets.randbelow(1_000_000)
    return run_plan(settings, seed, settings.plan(seed, saved), Path(out), fail_fast=fail_fast)


def run_seeds(
    seeds: int | str | Iterable[int],
    *,
    out: str | Path = "runs",
    max_failures: int | None = None,
    executor: Executor | None = None,
    **options: Unpack[Options],
) -> Campaign:
    """One run for each seed: 20 is the seeds 1 to 20, "5..9" a range.

    In sim a valid seed leaves no directory. The campaign ends at `max_failures` violated seeds. It runs in this
    process, one seed after the other. In sim an `executor` runs the seeds instead: any of `concurrent.futures`, of
    mpi4py or of Dask. Its workers may be on other machines, if they have the same code. Then each result is in the
    campaign's file in `out` as soon as it is known, and the same call goes on where an earlier one was stopped. The
    executor stays open.

    Raises what `run` raises; HarnessError, too, if a worker has other code, or the harness fails on a seed.
    """
    settings, saved = settings_of(options)
    if saved is not None:
        raise OptionError("schedule", "a campaign draws its schedules from its seeds")
    chosen = seeds_of(seeds)
    if executor is not None:
        if settings.world != "sim":
            raise OptionError("executor", "seeds run on an executor in sim only")
        return _by_executor(settings, chosen, Path(out), executor, max_failures)
    done: list[SeedResult] = []
    for seed in chosen:
        done.append(one_seed(settings, seed, Path(out)))
        if max_failures is not None and sum(end.verdict == "violated" for end in done) >= max_failures:
            break
    return _campaign(done, chosen, max_failures)


def _campaign(done: list[SeedResult], chosen: list[int], max_failures: int | None) -> Campaign:
    left = len(chosen) - len(done)
    return Campaign(tuple(done), f"{left} seeds were not run, after {max_failures} violated ones" if left else "")


WINDOW = 64
"""So many batches are under way at once, since nobody knows how many workers an executor has."""


class _Lent(Executor):
    """An executor of the caller, which stays open."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        return self._executor.submit(fn, *args, **kwargs)


def _by_executor(
    settings: Settings, chosen: list[int], out: Path, executor: Executor, max_failures: int | None
) -> Campaign:
    ends: dict[int, SeedEnd] = {}
    try:
        with campaign.Campaign(settings, chosen, out, max_failures=max_failures) as one:
            for end in chain(one.earlier(), one.run(lambda: _Lent(executor), WINDOW, far=True)):
                ends[end.seed] = end
    except CampaignError as error:
        raise HarnessError(str(error)) from None
    done: list[SeedResult] = []
    for seed in chosen:
        known = ends.get(seed)
        if isinstance(known, SeedFailed):
            raise HarnessError(f"the harness failed on seed {seed}: {known.error}")
        if known is not None:
            done.append(_result(known))
    return _campaign(done, chosen, max_failures)


def _result(end: SeedEnded) -> SeedResult:
    return SeedResult(end.seed, end.verdict, end.violated, saved_run(Path(end.run)) if end.run is not None else None)


def one_seed(settings: Settings, seed: int, out: Path) -> SeedResult:
    """One seed of a campaign."""
    if settings.world != "sim":
        one = run_plan(settings, seed, settings.make_schedule(seed), out)
        return SeedResult(seed, one.verdict, one.violated, one)
    with _interruptible():
        end = run_seed(settings, seed, out)
    return _result(end)


def run_plan(settings: Settings, seed: int, plan: Schedule, out: Path, *, fail_fast: bool = False) -> Run:
    """One run of a schedule, in a new directory under `out`."""
    needs.require(settings.world, plan.header)
    directory = new_run_dir(out, seed)
    info = describe(settings, seed, plan, directory)
    with _interruptible():
        try:
            run_in_world(settings, plan, directory, info, fail_fast=fail_fast)
        except Exception as error:
            keep_what_failed(directory, info, error)
            raise
    return saved_run(directory.path)


@contextmanager
def _interruptible() -> Iterator[None]:
    """Within the block, Ctrl-C ends the run in good order; then KeyboardInterrupt is raised, as anywhere in Python."""
    with interrupts.held():
        yield
        interrupted = interrupts.received()
    if interrupted:
        raise KeyboardInterrupt
