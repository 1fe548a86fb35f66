"""The loop of an exploration, on any `concurrent.futures.Executor`: results are taken in the order of their attempts.

An attempt that violates an invariant becomes an ordinary run directory: it is run again, and recorded, with its
schedule and its seed. Of failures that violate the same invariants only the first is kept: what was found once
is found all the time.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import BrokenExecutor, Executor, Future
from pathlib import Path

import msgspec

from raft_chaos.chaos.campaign.code import OtherCodeError, code, with_code
from raft_chaos.chaos.campaign.seed import NotDeterministicError
from raft_chaos.chaos.exploration.attempt import Attempt, Reached, carry_out
from raft_chaos.chaos.exploration.corpus import Corpus
from raft_chaos.chaos.exploration.explorer import STRATEGIES, Explorer, ahead_of
from raft_chaos.chaos.exploration.journal import AttemptEnded, ExplorationError, Journal, describe, packed
from raft_chaos.chaos.run.settings import Settings, new_run_dir
from raft_chaos.chaos.run.settings import describe as describe_run
from raft_chaos.chaos.run.sim.world import run_sim
from raft_chaos.chaos.schedule.data import ScheduleError


class Exploration:
    """One exploration, its folder open. Use as a context manager; `earlier` comes first, then one call of `run`.

    `jobs` processes are to be kept at work. It begins no attempt after `budget_s`, and ends after `max_failures`
    failures in this call. Raises ExplorationError if its folder cannot be used.
    """

    def __init__(
        self,
        settings: Settings,
        seed: int,
        out: Path,
        *,
        budget_s: float,
        strategy: str = "swarm",
        jobs: int = 1,
        max_failures: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        ways = STRATEGIES[strategy]
        self.settings = settings
        self._ahead = ahead_of(jobs)
        self.journal = Journal(out, describe(settings, seed, ways, self._ahead))
        self.explorer = Explorer(settings, seed, ways, Corpus(self.journal.corpus))
        self.stopped = ""
        """Why it stopped before its budget ended, or ""."""
        self._out = out
        self._budget_s = budget_s
        self._max_failures = max_failures
        self._clock = clock
        self._failures = 0
        self._kept: set[tuple[str, ...]] = set()  # used only for membership tests
        self._next = 0

    def __enter__(self) -> Exploration:
        return self

    def __exit__(self, *_: object) -> None:
        self.journal.__exit__()

    def earlier(self) -> Iterator[AttemptEnded]:
        """The attempts of earlier calls, from which it continues."""
        for ended in self.journal.earlier():
            first_us = ended.first_us
            self.explorer.learnt(ended.way, ended.parent, first_us, ended.deliveries)
            if first_us and not ended.violated:
                try:
                    self.explorer.corpus.add_saved(ended.number, list(first_us.values()), ended.deliveries)
                except ScheduleError as error:
                    raise ExplorationError(f"{error}; remove the folder to begin again") from None
            self._kept.add(tuple(ended.violated))
            self._next = ended.number + 1
            yield ended

    def run(self, open_executor: Callable[[], Executor]) -> Generator[AttemptEnded, None, None]:
        """Makes attempts until the budget ends, and yields each when it has ended. Closing the generator stops it; what
        is under way is then given up."""
        ends_s = self._clock() + self._budget_s
        under_way: deque[tuple[Attempt, Future[Reached]]] = deque()
        executor = open_executor()
        try:
            while True:
                while len(under_way) < self._ahead and self._clock() <= ends_s:
                    attempt = self.explorer.next(self._next)
                    self._next += 1
                    future = executor.submit(
                        with_code, code(), carry_out, attempt.schedule, self.settings.timing, self.settings.mutant
                    )
                    under_way.append((attempt, future))
                if not under_way:
                    return
                attempt, future = under_way.popleft()
                try:
                    reached = future.result()
                except BrokenExecutor:
                    raise ExplorationError("a worker process died; the same command goes on from here") from None
                except (ImportError, OtherCodeError) as error:
                    raise ExplorationError(f"a worker cannot run this exploration: {error}") from None
                except Exception:
                    self._skip(attempt)
                    raise
                yield self._ended(attempt, reached)
                if self._max_failures is not None and self._failures >= self._max_failures:
                    self.stopped = f"{self._failures} failures, as many as were asked for"
                    return
        finally:
            for _, future in under_way:
                future.cancel()
            executor.shutdown(wait=not under_way)

    def _skip(self, attempt: Attempt) -> None:
        """The harness failed on this attempt: an exploration that goes on leaves it out."""
        seed = attempt.schedule.header.seed
        ended = AttemptEnded(number=attempt.number, way=attempt.way, seed=seed, drawn="failed", verdict="unknown")
        self.journal.append(ended)

    def _ended(self, attempt: Attempt, reached: Reached) -> AttemptEnded:
        new = self.explorer.took(attempt, reached)
        run = repro = None
        if reached.violated:
            self._failures += 1
            run, repro = self._recorded(attempt, tuple(reached.violated))
        ended = AttemptEnded(
            number=attempt.number,
            way=attempt.way,
            parent=attempt.parent,
            drawn=attempt.drawn,
            seed=attempt.schedule.header.seed,
            states=len(reached.first_us),
            new=packed(new),
            deliveries=reached.deliveries,
            cpu_s=round(reached.cpu_s, 4),
            verdict=reached.verdict,
            violated=reached.violated,
            run=run,
            repro=repro or "",
        )
        self.journal.append(ended)
        return ended

    def _recorded(self, attempt: Attempt, violated: tuple[str, ...]) -> tuple[str, str] | tuple[None, None]:
        """The run directory of a failure, and the command that repeats it; (None, None) if one like it is kept."""
        if violated in self._kept:
            return None, None
        self._kept.add(violated)
        schedule, seed = attempt.schedule, attempt.schedule.header.seed
        run = new_run_dir(self._out, seed)
        settings = msgspec.structs.replace(self.settings, schedule_file=str(run.schedule))
        info = describe_run(settings, seed, schedule, run)
        info = run_sim(schedule, settings.timing, settings.mutant, run, info)
        again = {verdict.invariant for verdict in info.invariants if verdict.outcome == "violated"}
        if not again.issuperset(violated):
            raise NotDeterministicError(
                f"attempt {attempt.number} violated {', '.join(violated)}, and once more it did not, in {run.path}"
            )
        return str(run.path), info.repro
