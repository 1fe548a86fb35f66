"""A campaign: runs many seeds on any `concurrent.futures.Executor`, and writes each result to its file as it comes.

    run             submits seeds, at most a window of them at once, and yields each result as it comes
    _on_executor    uses one executor until all seeds have ended, or until one of its workers dies

When a worker dies, all seeds under way are lost, and it is unknown which seed killed the worker. So the campaign runs
the seeds of that window again, one at a time: if a worker dies again, its only seed is the cause. Such a seed, and one
on which the harness raises, is a failure of the harness; the other seeds continue.

A worker gets a batch of seeds (`batch`): one on this machine a single seed, since that takes tens of milliseconds and
the call itself nothing. A campaign keeps only the numbers of seeds that have ended, so it may have millions.
"""

from __future__ import annotations

import time
import traceback
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import BrokenExecutor, Executor, Future
from itertools import islice
from pathlib import Path
from queue import Empty, SimpleQueue

from raft_chaos.chaos.campaign.batch import (
    MOST_SENT,
    Batch,
    BatchEnd,
    BatchSize,
    RunSeed,
    SeedEnd,
    failure,
    lasts_s,
    run_batch,
    unpacked,
)
from raft_chaos.chaos.campaign.code import OtherCodeError, code, with_code
from raft_chaos.chaos.campaign.file import CampaignEnd, CampaignError, CampaignFile, SeedFailed, describe_campaign
from raft_chaos.chaos.campaign.seed import run_seed, run_seed_compared
from raft_chaos.chaos.campaign.seed_result import SeedResult
from raft_chaos.chaos.run.settings import Settings

WINDOW_PER_JOB = 4
"""Batches under way for each worker: no worker waits for work, and few seeds are lost when one dies."""

MOST_KEPT = 200
"""So many run directories a campaign keeps of those that workers elsewhere send; further seeds make theirs again, where
they are repeated."""

MOST_FAILED = 20
"""A harness that failed on this many seeds will fail on the rest."""


class Campaign:
    """One campaign, its file open. Use as a context manager; `earlier` comes first, then one call of `run`.

    `compared`: each seed also runs without the mistake of the settings' mutant, for `SeedResult.baseline`.
    `max_failures` ends it after this many violated seeds, including those of earlier calls. After `time_limit_s` it
    stops, and gives up the seeds that are under way. `run_one` replaces the function that runs a seed. Raises
    CampaignError if its file cannot be used, ValueError for no seeds.
    """

    def __init__(
        self,
        settings: Settings,
        seeds: Sequence[int],
        out: Path,
        *,
        run_one: RunSeed | None = None,
        compared: bool = False,
        max_failures: int | None = None,
        time_limit_s: float | None = None,
    ) -> None:
        if not seeds:
            raise ValueError("seeds: expected at least one, got none")
        self.settings = settings
        self.seeds = list(dict.fromkeys(seeds))
        """Each seed once: a repeated seed would give the same result."""
        self.out = out
        self.header = describe_campaign(settings, self.seeds, compared=compared)
        self._file = CampaignFile(out, self.header)
        self.path, self.kept = self._file.path, self._file.kept
        """Its file, and the place of the earlier file if the same campaign was complete."""
        self.resumed = len(self._file.done)
        """How many seeds already had a result when the file was opened."""
        self.done = self.resumed
        self.given_up: list[int] = []
        """The seeds that were under way when the campaign stopped, and have no result."""
        self.stopped = ""
        """Why it stopped, or "". A campaign that stopped with its last result is still complete."""
        self._violated = self._file.violated
        self._failed = 0
        self._code = code()
        self._keeps = MOST_KEPT
        self._run_one = run_one or (run_seed_compared if compared else run_seed)
        self._max_failures = max_failures
        self._time_limit_s = time_limit_s
        self._deadline_s: float | None = None

    def __enter__(self) -> Campaign:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    @property
    def complete(self) -> bool:
        """Whether every seed has a result."""
        return self.done == len(self.seeds)

    def earlier(self) -> Iterator[SeedResult]:
        """The results of earlier calls of the same campaign that were stopped or killed."""
        return self._file.earlier()

    def run(
        self, open_executor: Callable[[], Executor], window: int, *, far: bool = False
    ) -> Generator[SeedEnd, None, None]:
        """Runs the seeds that have no result yet, and yields how each ends. Closing the generator stops the campaign.

        `open_executor` is called once, and again after each death of a worker. `window` is how many batches of seeds
        are under way at once. If some still are, the executor is shut down without waiting; whether that ends them at
        once depends on the executor. `far`: its workers may be on other machines, and do not share the folder `out`.
        Raises CampaignError if a worker has other code.
        """
        size = BatchSize(lasts_s(window // WINDOW_PER_JOB) if far else 0)
        if self._time_limit_s is not None:
            self._deadline_s = time.monotonic() + self._time_limit_s
        fresh = self._in_time(seed for seed in self.seeds if seed not in self._file.done)
        suspects: deque[int] = deque()
        self._stop_if_enough()
        while not self.stopped:
            alone = bool(suspects)
            handed = self._in_time(_taken(suspects)) if alone else fresh
            caught = yield from self._on_executor(open_executor(), handed, 1 if alone else window, size, far)
            if alone and caught:
                yield self._ended(
                    failure(self.settings, caught.pop(), self.out, "its worker process died, twice in a row")
                )
            suspects.extend(caught)
            if not alone and not suspects:
                break
        if self.complete:
            self._file.append(CampaignEnd(seeds=self.done))

    def _on_executor(
        self, executor: Executor, seeds: Iterator[int], window: int, size: BatchSize, far: bool
    ) -> Generator[SeedEnd, None, list[int]]:
        """Runs seeds until there are no more, or the executor breaks. Returns the seeds that were lost with it."""
        under_way: dict[Future[BatchEnd], list[int]] = {}
        ended: SimpleQueue[Future[BatchEnd]] = SimpleQueue()
        caught: list[int] = []
        apart: deque[int] = deque()  # of a batch that could not be run: one of them may be the cause
        try:
            while True:
                while not caught and len(under_way) < window and (batch := self._next_batch(apart, seeds, size)):
                    try:
                        future = executor.submit(with_code, self._code, run_batch, self._batch(batch, far))
                    except BrokenExecutor:
                        caught += batch
                        break
                    under_way[future] = batch
                    future.add_done_callback(ended.put)
                if not under_way:
                    return caught
                done = self._next_of(ended)
                if done is None:
                    return caught
                batch = under_way.pop(done)
                try:
                    came = done.result()
                except BrokenExecutor:
                    caught += batch
                    continue
                except (ImportError, OtherCodeError) as error:
                    raise CampaignError(f"a worker cannot run this campaign: {error}") from None
                except Exception as error:  # the executor's own error: it could not run the call, or return the result
                    if len(batch) > 1:
                        apart.extend(batch)
                        continue
                    what = f"{type(error).__name__}: {error}"
                    yield self._ended(failure(self.settings, batch[0], self.out, what, traceback.format_exc()))
                else:
                    size.learn(len(batch), came.took_s)
                    for one in came.ends:
                        yield self._ended(self._kept_with(one, came.folders))
                if self._stop_if_enough():
                    return caught
        finally:
            self.given_up = sorted(seed for batch in under_way.values() for seed in batch)
            for future in under_way:
                future.cancel()
            executor.shutdown(wait=not under_way)

    def _next_batch(self, apart: deque[int], seeds: Iterator[int], size: BatchSize) -> list[int]:
        return [apart.popleft()] if apart else list(islice(seeds, size.seeds))

    def _batch(self, seeds: Sequence[int], far: bool) -> Batch:
        return Batch(self.settings, seeds, self._run_one, None if far else self.out, min(MOST_SENT, self._keeps))

    def _kept_with(self, end: SeedEnd, folders: dict[int, bytes]) -> SeedEnd:
        """The end of a seed, with its run directory, if that was sent and there is room for it."""
        if end.seed not in folders or not self._keeps:
            return end
        self._keeps -= 1
        return unpacked(end, folders[end.seed], self.out)

    def _ended(self, end: SeedEnd) -> SeedEnd:
        self._file.append(end)
        if isinstance(end, SeedFailed):
            self._failed += 1
        else:
            self.done += 1
            self._violated += end.verdict == "violated"
        return end

    def _stop_if_enough(self) -> bool:
        if self._max_failures is not None and self._violated >= self._max_failures:
            self.stopped = f"{self._violated} violated, as many as were asked for"
        elif self._failed >= MOST_FAILED:
            self.stopped = f"the harness failed on {self._failed} seeds"
        return bool(self.stopped)

    def _in_time(self, seeds: Iterator[int]) -> Iterator[int]:
        """The seeds that begin before the deadline."""
        for seed in seeds:
            if self._left_s() == 0:
                self._stop_late()
                return
            yield seed

    def _next_of(self, ended: SimpleQueue[Future[BatchEnd]]) -> Future[BatchEnd] | None:
        """The seed that ends next; None if none ends before the deadline."""
        try:
            return ended.get(timeout=self._left_s())
        except Empty:
            self._stop_late()
            return None

    def _left_s(self) -> float | None:
        """Seconds until the deadline, 0 after it; None if there is none."""
        return None if self._deadline_s is None else max(0.0, self._deadline_s - time.monotonic())

    def _stop_late(self) -> None:
        self.stopped = f"the time limit of {self._time_limit_s:g} s was reached"


def _taken(seeds: deque[int]) -> Iterator[int]:
    while seeds:
        yield seeds.popleft()
