"""Shrinks a schedule while a run of it in `sim` still violates the same invariant.

Removing something from a schedule shifts what follows slightly. A violation that depends on exact timing is then lost
under this seed, although the schedule can still cause it. So a candidate may be tried under several seeds, the current
one first; the seed that fails is kept with it. A run ends at the violation, and whatever did not happen by then is
removed too.

A small schedule that fails under a single seed is of little use in real time. So a second search, `lasting`, requires
more. Of `TRIALS` runs with faults as late as in `live` (`as_in_live`), some fail with the whole schedule; with the
candidate half of these, rounded down, must still fail.

In order, repeated until nothing changes: remove clients, nodes, faults and operations; then make the remaining faults
smaller, shorter and earlier, and the whole schedule earlier.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor
from hashlib import sha256
from itertools import compress

import msgspec
from msgspec.structs import replace

from raft_chaos.chaos.mutants import parts_of
from raft_chaos.chaos.reproduction.make import NotReproducedError
from raft_chaos.chaos.run.nodes.memory_driver import MemoryDriver
from raft_chaos.chaos.run.sim.run import VirtualRun
from raft_chaos.chaos.schedule.data import Fault, Schedule
from raft_chaos.chaos.schedule.follow import without_orphans
from raft_chaos.chaos.schedule.streams import stream, stream_seed
from raft_chaos.chaos.shrink.candidates import (
    client_candidates,
    fault_candidates,
    header_candidates,
    live_fault_candidates,
    node_candidates,
    shifted_earlier,
    unrepeated,
    when_candidates,
    without_features,
)
from raft_chaos.chaos.shrink.search import BudgetEndedError, Search, reduce
from raft_chaos.invariants.events import FaultInjected
from raft_chaos.raft.state.timing import Timing

FIRST_SEEDS = 40
"""The whole schedule is tried under this many seeds, since that of a live run does not determine its network."""
SEEDS = (4, 16, 64)
"""A smaller schedule is tried under the first number of seeds, then more if the result is still large."""
MUCH = 4
"""A schedule with more faults than this is large; few seeds make such a schedule fail."""
LATER_US = 2_000_000
"""How much later than the current violation the violation under another seed may come."""
SEED_LIMIT = 1_000_000

_encode = msgspec.msgpack.Encoder().encode

TRIALS = 12
"""The number of simulated runs with the delays of live that measure how often a schedule fails."""
NOTICED_US = (2_000, 12_000)
"""The delay between an anchor event and its fault in `live`: the harness reads events from files."""


class ScheduleCandidate(msgspec.Struct, frozen=True):
    """A schedule that may still violate the invariant, with the unmodified core (`mutant` None) or a mutant.

    It must do so with the delays of live in half (rounded down) of the runs `trials`, whose numbers count from the seed
    `trials_of`; and under one of `seeds` seeds, the first `tried` of which are known not to fail. A run that ends at
    its bound of events before the violation, which `max_events` replaces, does not fail.
    """

    schedule: Schedule
    timing: Timing
    mutant: str | None
    invariant: str
    seeds: int
    trials: tuple[int, ...] = ()
    trials_of: int = 0
    max_events: int | None = None
    tried: int = 0
    what: bytes = b""
    """The same for the same schedule and trials."""


def _identity(candidate: ScheduleCandidate) -> tuple[bytes, int]:
    return candidate.what, candidate.seeds


def attempt(candidate: ScheduleCandidate) -> Schedule | None:
    """Runs the candidate until the violation. Returns the part that happened, with the seed that failed, or None.

    If the trials need the part that did not happen, it stays.
    """
    if not _is_robust(candidate):
        return None  # first, since most candidates end here: few trials tell
    for number in range(candidate.tried, candidate.seeds):
        schedule = under_seed(candidate.schedule, number)
        run = _run(candidate, schedule)
        if run is not None:
            part = part_that_happened(schedule, run)
            same = len(part.faults) == len(schedule.faults) and len(part.operations) == len(schedule.operations)
            return part if same or _is_robust(replace(candidate, schedule=part)) else schedule
    return None


def _run(candidate: ScheduleCandidate, schedule: Schedule) -> VirtualRun | None:
    """The run if it violated the invariant, otherwise None."""
    run = VirtualRun(
        schedule,
        timing=candidate.timing,
        driver=MemoryDriver(parts_of(candidate.mutant)),
        until=candidate.invariant,
        max_events=candidate.max_events,
    )
    verdicts = run.go().analysis.invariants
    return run if any(v.invariant == candidate.invariant and v.outcome == "violated" for v in verdicts) else None


def _is_robust(candidate: ScheduleCandidate) -> bool:
    """Whether enough of the trials fail. Stops as soon as this is decided."""
    missing, left = len(candidate.trials) // 2, len(candidate.trials)
    schedule = _with_seed(candidate.schedule, candidate.trials_of)
    for number in candidate.trials:
        if not 0 < missing <= left:
            break
        missing -= _run(candidate, as_in_live(schedule, number)) is not None
        left -= 1
    return missing <= 0


def as_in_live(schedule: Schedule, number: int) -> Schedule:
    """The schedule under another seed, with anchored faults delayed as in real time."""
    schedule = under_seed(schedule, number)
    rng = stream(schedule.header.seed, "shrink/late")
    faults = []
    for fault in schedule.faults:
        late_us = rng.randint(*NOTICED_US)
        when = fault.when
        if when.on is not None:
            when = replace(when, after_us=when.after_us + late_us)
        faults.append(replace(fault, when=when))
    return replace(schedule, faults=faults)


def under_seed(schedule: Schedule, number: int) -> Schedule:
    """The schedule under the seed `number` derived from its own seed, which is number 0."""
    if not number:
        return schedule
    return _with_seed(schedule, stream_seed(schedule.header.seed, f"shrink/{number}") % SEED_LIMIT)


def _with_seed(schedule: Schedule, seed: int) -> Schedule:
    return replace(schedule, header=replace(schedule.header, seed=seed))


def part_that_happened(schedule: Schedule, run: VirtualRun) -> Schedule:
    """The schedule without faults and operations that did not happen by the end of the run, and with an earlier end.

    Up to the violation its run is the same.
    """
    header, ended_us = schedule.header, run.scheduler.now_us
    fired = {event.fault for event in run.trace.harness_events if isinstance(event, FaultInjected)}
    begun = {op.op for op in run.trace.operations}
    until_us = max(header.safety_from_us, min(header.safety_until_us, ended_us + LATER_US))
    return replace(
        schedule,
        header=replace(header, safety_until_us=until_us),
        faults=[fault for fault in schedule.faults if fault.id in fired],
        operations=[operation for operation in schedule.operations if operation.id in begun],
    )


class ScheduleShrinker:
    """Shrinks one schedule. `run` returns whether the result is minimal: no single fault, operation, client or node
    can be removed.

    With `often`, a share of the runs, it must keep failing in most trials. Raises NotReproducedError if no run of the
    schedule in `sim` violates the invariant, or if it fails no more often than that.
    """

    def __init__(
        self,
        schedule: Schedule,
        timing: Timing,
        mutant: str | None,
        invariant: str,
        *,
        often: float | None = None,
        budget_s: float,
        max_events: int | None = None,
        jobs: int,
        open: Callable[[], Executor] | None = None,
        progress: Callable[[Search[ScheduleCandidate, Schedule]], None] = lambda search: None,
    ) -> None:
        self._timing = timing
        self._mutant = mutant
        self._invariant = invariant
        self._max_events = max_events
        self._often = often
        self._seeds = SEEDS[0]
        self._trials: tuple[int, ...] = ()
        self._trials_of = schedule.header.seed
        self.search: Search[ScheduleCandidate, Schedule] = Search(
            schedule, attempt, budget_s, jobs, progress, open, identity=_identity
        )

    @property
    def schedule(self) -> Schedule:
        """The smallest schedule so far."""
        return self.search.state

    def run(self) -> bool:
        found = False
        try:
            with self.search:
                found = self._begin()
                # One that lasts fails under most seeds, so more of them would not help.
                efforts = SEEDS if self._often is None else SEEDS[:1]
                for self._seeds in efforts:
                    self._try_each(header_candidates(self.schedule))
                    while self._try_each(without_features(self.schedule)):
                        pass
                    self._try_each(unrepeated(self.schedule))
                    before = None
                    while before is not self.schedule:  # a smaller fault may make another one removable
                        before = self.schedule
                        self._reduce()
                        self._simplify()
                    if len(self.schedule.faults) <= MUCH:
                        break
            return True
        except BudgetEndedError:
            if not found:
                raise NotReproducedError(f"the budget ended before a run in sim violated {self._invariant}") from None
            return False

    def _begin(self) -> bool:
        """Finds a seed under which the schedule fails, first without the faults that exist only in virtual time."""
        whole = self.schedule
        for part in (*live_fault_candidates(whole), whole):
            if self._often is not None:
                self._trials = self._failing_trials(part)
                if len(self._trials) < 2 or len(self._trials) / TRIALS <= self._often:
                    continue
            if self._first_seeds(part):
                return True
        raise NotReproducedError(
            f"no run of this schedule in sim violated {self._invariant}, under {FIRST_SEEDS} seeds"
        )

    def _first_seeds(self, schedule: Schedule) -> bool:
        return self._first(self.candidate(under_seed(schedule, number), 1) for number in range(FIRST_SEEDS))

    def _reduce(self) -> None:
        while self._try_each(client_candidates(self.schedule)) or self._try_each(node_candidates(self.schedule)):
            pass
        reduce(self.search, lambda schedule: len(schedule.faults), self._without_faults)
        reduce(self.search, lambda schedule: len(schedule.operations), self._without_operations)

    def _simplify(self) -> None:
        for fault in self.schedule.faults:
            while self._try_each(self._with(fault.id, fault_candidates)):
                pass
            while self._try_each(self._with(fault.id, _sooner)):
                pass
        by_us = self.schedule.header.safety_from_us
        while by_us > 10_000:
            moved = shifted_earlier(self.schedule, by_us)
            if moved is None or not self._try_each([moved]):
                by_us //= 2

    # ---- candidates -----------------------------------------------------------------------------------------------

    def _with(self, name: str, change: Callable[[Fault], Iterable[Fault]]) -> Iterator[Schedule]:
        """The schedule with each candidate for the fault of that name, if it is still there."""
        faults = self.schedule.faults
        for place, fault in enumerate(faults):
            if fault.id == name:
                for changed in change(fault):
                    yield replace(self.schedule, faults=[*faults[:place], changed, *faults[place + 1 :]])

    def _without_faults(self, schedule: Schedule, first: int, end: int) -> ScheduleCandidate:
        return self.candidate(replace(schedule, faults=[*schedule.faults[:first], *schedule.faults[end:]]))

    def _without_operations(self, schedule: Schedule, first: int, end: int) -> ScheduleCandidate:
        return self.candidate(replace(schedule, operations=[*schedule.operations[:first], *schedule.operations[end:]]))

    def _try_each(self, schedules: Iterable[Schedule]) -> bool:
        return self._first(self.candidate(schedule) for schedule in schedules)

    def _first(self, candidates: Iterable[ScheduleCandidate]) -> bool:
        return self.search.first(candidates) is not None

    def _failing_trials(self, schedule: Schedule) -> tuple[int, ...]:
        numbers = range(1, TRIALS + 1)
        once = replace(self.candidate(schedule, seeds=1), trials=(), what=b"")
        fails = self.search.all(replace(once, schedule=as_in_live(schedule, number)) for number in numbers)
        return tuple(compress(numbers, fails))

    def candidate(self, schedule: Schedule, seeds: int = 0) -> ScheduleCandidate:
        """The schedule without faults that follow a removed one, to be judged as strictly as those kept so far."""
        schedule = replace(schedule, faults=without_orphans(schedule.faults))
        what = sha256(_encode((schedule, self._trials))).digest()
        return ScheduleCandidate(
            schedule,
            self._timing,
            self._mutant,
            self._invariant,
            seeds or self._seeds,
            self._trials,
            self._trials_of,
            self._max_events,
            self.search.effort_on(what),
            what,
        )


def _sooner(fault: Fault) -> Iterator[Fault]:
    return (replace(fault, when=when) for when in when_candidates(fault.when))
