"""Shrinks a failure and makes its reproduction file: a small execution and a small schedule share the budget.

The execution is the failure itself: the inputs of each node, in order. The schedule is what real time can run: it
causes the failure with some probability, and its faults are anchored at the end to increase that. The execution of a
live run comes from its journals and shrinks quickly. The execution of a run in virtual time is recorded from the
schedule after this has been shrunk.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

import msgspec
from msgspec.structs import replace

from raft_chaos.chaos.execution.player import Player
from raft_chaos.chaos.execution.recording import record
from raft_chaos.chaos.execution.steps import Crash, Execution
from raft_chaos.chaos.mutants import parts_of
from raft_chaos.chaos.reproduction.file import Origin, Reproduction, Scenario
from raft_chaos.chaos.reproduction.make import NotReproducedError, make
from raft_chaos.chaos.reproduction.reproduce import JUDGED_BY_TIME
from raft_chaos.chaos.run.nodes.memory_driver import MemoryDriver
from raft_chaos.chaos.schedule.data import Schedule
from raft_chaos.chaos.shrink.anchors import SEEDS, Anchored, anchor, failing
from raft_chaos.chaos.shrink.executions import ExecutionShrinker
from raft_chaos.chaos.shrink.schedules import ScheduleCandidate, ScheduleShrinker
from raft_chaos.chaos.shrink.schedules import attempt as attempt_schedule
from raft_chaos.chaos.shrink.search import BudgetEndedError, Search, within
from raft_chaos.invariants.verdict import Verdict
from raft_chaos.raft.state.timing import Timing

SHARE_OF_FIRST, SHARE_OF_SCHEDULE, SHARE_OF_ANCHORS = 0.4, 0.5, 0.5
"""The shares of the remaining time for a live run's execution, each search for a schedule, and the anchors."""
MORE_FAULTS = 3
"""A schedule that fails much more often may have this many more faults."""
INTERRUPTED = "interrupted"
SEEDS_TO_KEEP = 20
"""An anchored schedule must fail under at least one of this many seeds, or it is dropped."""


class Counts(msgspec.Struct, frozen=True):
    """The size of a failure. `terms` is the highest term, `steps` the number of steps; None without an execution."""

    faults: int
    operations: int
    clients: int
    nodes: int
    terms: int | None
    steps: int | None


@dataclass
class Failure:
    """The failure to shrink: a run's schedule, and for a live run also the execution from its journals. Each run of a
    candidate has the run's own bound of events, if that had one (`max_events`)."""

    invariant: str
    mutant: str | None
    timing: Timing
    schedule: Schedule
    origin: Origin
    execution: Execution | None = None
    max_events: int | None = None


@dataclass
class Shrunk:
    """The result. `minimal`: nothing single can be removed from the schedule or from the execution."""

    reproduction: Reproduction
    before: Counts
    after: Counts
    replays: int
    minimal: bool
    anchored: Anchored | None
    remarks: list[str] = field(default_factory=list)


@dataclass
class Shrinker:
    """Shrinks one failure within `budget_s` seconds. Calls `progress(what, replays, size)` after each replay.

    `open` gives the executor on which `jobs` candidates are tried at once; None: processes of this machine.

    The searches end early enough for one more run of the whole failure: the result is run again to write its file.
    """

    failure: Failure
    budget_s: float
    jobs: int
    anchors: bool = True
    progress: Callable[[str, int, str], None] = lambda what, replays, left: None
    open: Callable[[], Executor] | None = None

    def interrupt(self) -> None:
        """For the handler of a signal: ends the search under way, and `run` returns the best so far."""
        self._stop()
        if self._searching:
            raise KeyboardInterrupt

    def run(self) -> Shrunk:
        """Shrinks the failure. Raises NotReproducedError if no run in `sim` violates the invariant, or if the user or
        the budget ended before one did."""
        self._began_s, self._kept_s = monotonic(), 0.0
        self._replays, self._minimal = 0, True
        self._searching = self._stopped = False
        self._remarks: list[str] = []
        failure = self.failure
        before = self._before()
        execution = self._small_execution(failure.execution, SHARE_OF_FIRST) if failure.execution else None
        schedule, anchored = self._small_schedule()
        if failure.execution is None and schedule is not None:
            execution = self._small_recorded(schedule)
        if schedule is None and execution is None:
            raise NotReproducedError("; ".join(self._remarks))
        reproduction = self._reproduction(schedule, execution)
        after = self._after(schedule, execution)
        return Shrunk(reproduction, before, after, self._replays, self._minimal, anchored, self._remarks)

    # ---- the schedule ---------------------------------------------------------------------------------------------

    def _small_schedule(self) -> tuple[Schedule | None, Anchored | None]:
        small = self._shrunk_schedule()
        if small is None:
            self._minimal = False
            if self.failure.execution is None:
                return None, None
            self._remarks.append("so the schedule is that of the whole run")
            return self.failure.schedule, None
        schedule, minimal = small
        if self.anchors and (lasting := self._lasting(schedule)) is not None:
            schedule, minimal = lasting, True
        self._minimal &= minimal
        return (schedule, None) if not self.anchors else self._anchored(schedule)

    def _shrunk_schedule(self, often: float | None = None) -> tuple[Schedule, bool] | None:
        """(schedule, whether it is minimal); None if no run in sim violates the invariant. With `often` it is one that
        lasts; None if the whole schedule fails no more often."""
        failure = self.failure
        shrinker = ScheduleShrinker(
            failure.schedule,
            failure.timing,
            failure.mutant,
            failure.invariant,
            often=often,
            budget_s=self._left_s() * SHARE_OF_SCHEDULE,
            max_events=failure.max_events,
            jobs=self.jobs,
            open=self.open,
            progress=lambda search: self._report("schedule", search, _size_of_schedule(search.state)),
        )
        try:
            with self._interruptible():
                minimal = shrinker.run()
        except KeyboardInterrupt:
            self._stop()
            return shrinker.schedule, False
        except NotReproducedError as error:
            if often is None:
                self._remarks.append(str(error))
            return None
        finally:
            self._replays += shrinker.search.replays
        return shrinker.schedule, minimal

    def _lasting(self, small: Schedule) -> Schedule | None:
        """A schedule that fails more than twice as often as the small one, with at most `MORE_FAULTS` more faults; None
        if there is none."""
        seldom = self._failing(small)
        if seldom is None or 2 * seldom >= SEEDS:
            return None  # nothing fails more than twice as often
        found = self._shrunk_schedule(often=2 * seldom / SEEDS)
        if found is None:
            return None
        lasting, minimal = found
        if not minimal or len(lasting.faults) > len(small.faults) + MORE_FAULTS:
            return None
        often = self._failing(lasting, 2 * seldom + 1)
        return lasting if often is not None and often > 2 * seldom else None

    def _failing(self, schedule: Schedule, fewest: int = 0) -> int | None:
        """In how many of `SEEDS` runs it fails, as far as that is not less than `fewest`; None if it was not measured
        to the end."""
        with self._search_of_anchors(schedule) as search:
            try:
                with self._interruptible():
                    return failing(self._once(schedule), search, fewest)
            except BudgetEndedError:
                return None
            except KeyboardInterrupt:
                self._stop()
                return None
            finally:
                self._replays += search.replays

    def _search_of_anchors(self, schedule: Schedule) -> Search[ScheduleCandidate, Schedule]:
        return Search(
            schedule,
            attempt_schedule,
            self._left_s() * SHARE_OF_ANCHORS,
            self.jobs,
            lambda search: self._report("anchors", search, _size_of_schedule(schedule)),
            self.open,
        )

    def _once(self, schedule: Schedule) -> ScheduleCandidate:
        failure = self.failure
        return ScheduleCandidate(
            schedule, failure.timing, failure.mutant, failure.invariant, 1, max_events=failure.max_events
        )

    def _anchored(self, schedule: Schedule) -> tuple[Schedule, Anchored | None]:
        search, candidate = self._search_of_anchors(schedule), self._once(schedule)
        anchored = None
        try:
            with self._interruptible(), search:
                anchored = anchor(candidate, search)
        except KeyboardInterrupt:
            self._stop()
        self._replays += search.replays
        if anchored is None:
            return schedule, None
        # It must fail under its own seed, however often it fails under others.
        kept = self._kept(replace(candidate, schedule=anchored.schedule, seeds=SEEDS_TO_KEEP))
        if kept is not None:
            return kept, anchored
        return schedule, Anchored(schedule, schedule, anchored.before, anchored.before)

    def _kept(self, candidate: ScheduleCandidate) -> Schedule | None:
        """The candidate with a seed under which it fails; None if there is none, or none within the budget."""
        with self._search_of_anchors(candidate.schedule) as search:
            try:
                with self._interruptible():
                    return search.state if search.first([candidate]) is not None else None
            except BudgetEndedError:
                return None
            except KeyboardInterrupt:
                self._stop()
                return None

    # ---- the execution --------------------------------------------------------------------------------------------

    def _small_execution(self, execution: Execution, share: float) -> Execution | None:
        failure = self.failure
        if failure.invariant in JUDGED_BY_TIME:
            return None  # judged after the run: no single step violates it, so an execution cannot end at such a step
        shrinker = ExecutionShrinker(
            execution,
            failure.mutant,
            failure.invariant,
            budget_s=self._left_s() * share,
            jobs=self.jobs,
            open=self.open,
            progress=lambda search: self._report("execution", search, f"{len(search.state.steps)} steps"),
        )
        try:
            with self._interruptible():
                self._minimal &= shrinker.run()
        except KeyboardInterrupt:
            self._stop()
        except NotReproducedError as error:
            self._remarks.append(str(error))
            return None
        finally:
            self._replays += shrinker.search.replays
        return shrinker.execution

    def _small_recorded(self, schedule: Schedule) -> Execution | None:
        """The small execution of a schedule, if there is time for it."""
        try:
            with self._interruptible(), within(self._left_s()):
                execution = self._recorded(schedule)
        except BudgetEndedError:
            self._remarks.append("the budget ended before the execution of the schedule was recorded")
        except KeyboardInterrupt:
            self._stop()
        else:
            return self._small_execution(execution, 1.0)
        self._minimal = False
        return None

    @contextmanager
    def _interruptible(self) -> Iterator[None]:
        """A search, which raises KeyboardInterrupt if the user stops it, or has stopped an earlier one."""
        if self._stopped:
            raise KeyboardInterrupt
        self._searching = True
        try:
            yield
        finally:
            self._searching = False

    def _stop(self) -> None:
        """The user has interrupted: keep the result so far."""
        if not self._stopped:
            self.budget_s, self._minimal, self._stopped = 0.0, False, True
            self._remarks.append(INTERRUPTED)

    def _recorded(self, schedule: Schedule) -> Execution:
        failure = self.failure
        parts, most = parts_of(failure.mutant), failure.max_events
        _, execution = record(schedule, failure.timing, parts, until=failure.invariant, max_events=most)
        return execution

    # ---- the result -----------------------------------------------------------------------------------------------

    def _reproduction(self, schedule: Schedule | None, execution: Execution | None) -> Reproduction:
        failure = self.failure
        scenario = Scenario(timing=failure.timing, schedule=schedule) if schedule is not None else None
        try:
            made = make(failure.invariant, failure.mutant, failure.origin, execution=execution, scenario=scenario)
        except NotReproducedError as error:
            raise NotReproducedError("; ".join([*self._remarks, str(error)])) from None
        unmodified = _play_unmodified(execution) if failure.mutant is not None and execution is not None else []
        if any(verdict.violations for verdict in unmodified if verdict.invariant == failure.invariant):
            self._remarks.append("the unmodified core violates it too, so it does not show the mutant's mistake")
        return made

    def _before(self) -> Counts:
        schedule, execution = self.failure.schedule, self.failure.execution
        try:
            with self._interruptible(), within(self._left_s()):
                if execution is None:
                    execution = self._recorded(schedule)
                before = self._after(schedule, execution)
        except BudgetEndedError:
            raise NotReproducedError("the budget ended before the failure was run again; give a longer one") from None
        except KeyboardInterrupt:
            raise NotReproducedError(f"{INTERRUPTED} before the failure was run again") from None
        self._kept_s = monotonic() - self._began_s
        return before

    def _after(self, schedule: Schedule | None, execution: Execution | None) -> Counts:
        """Faults, operations and clients are those of the schedule; nodes, terms and steps those of the execution."""
        terms = _play(execution, self.failure.mutant)[2] if execution is not None else None
        crashes = sum(isinstance(step, Crash) for step in execution.steps) if execution is not None else 0
        calls = execution.calls if execution is not None else []
        header = schedule.header if schedule is not None else None
        return Counts(
            faults=len(schedule.faults) if schedule is not None else crashes,
            operations=len(schedule.operations) if schedule is not None else len(calls),
            clients=len({one.client for one in (schedule.operations if schedule is not None else calls)}),
            nodes=len(execution.nodes) if execution is not None else len(header.nodes) if header else 0,
            terms=terms,
            steps=len(execution.steps) if execution is not None else None,
        )

    def _report(self, what: str, search: Search[Any, Any], left: str) -> None:
        self.progress(what, self._replays + search.replays, left)

    def _left_s(self) -> float:
        """For searches."""
        return max(0.0, self.budget_s - self._kept_s - (monotonic() - self._began_s))


def _play(execution: Execution, mutant: str | None) -> tuple[list[Verdict], str, int]:
    """(verdicts, digest of the trace, highest term)."""
    player = Player(execution, MemoryDriver(parts_of(mutant)))
    played = player.play()
    return played.verdicts, played.trace_sha256, max(view.term for view in player.view.nodes.values())


def _play_unmodified(execution: Execution) -> list[Verdict]:
    """The verdicts on the same steps with the unmodified core, which skips those that it cannot do."""
    return Player(execution, MemoryDriver(parts_of(None)), mode="lenient").play().verdicts


def _size_of_schedule(schedule: Schedule) -> str:
    return f"{len(schedule.faults)} faults, {len(schedule.operations)} operations, {len(schedule.header.nodes)} nodes"
