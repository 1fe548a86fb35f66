"""Makes a schedule smaller while a run of it in `sim` still breaks the same invariant.

Taking something out of a schedule moves what comes after it by a little, and a violation that hangs on a coincidence is
then lost, although the schedule still brings it about. So a candidate may be tried under several seeds, the present one
first, and the one that fails is kept with it. A run ends at the violation: what did not come to pass by then goes, too.

A small schedule that fails under one seed alone is worth little in real time. So another search is for one that lasts:
the share of runs in which the whole one fails, with its faults as late as they are in `live` (`as_in_live`), may shrink
with it, but not below a half.

In order, and again for as long as something goes: clients, nodes, faults, operations; then what is left of the faults
does less, for a shorter time and sooner, and the whole begins earlier.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import msgspec
from msgspec.structs import replace

from raft_chaos.chaos.mutants import parts_of
from raft_chaos.chaos.run.nodes.memory_driver import MemoryDriver
from raft_chaos.chaos.run.sim.run import VirtualRun
from raft_chaos.chaos.schedule.data import Fault, Schedule
from raft_chaos.chaos.schedule.streams import stream, stream_seed
from raft_chaos.chaos.shrink.candidates import (
    client_candidates,
    fault_candidates,
    header_candidates,
    live_fault_candidates,
    node_candidates,
    shifted_earlier,
    when_candidates,
)
from raft_chaos.chaos.shrink.search import BudgetEndedError, NotReproducedError, Search, reduce
from raft_chaos.invariants.events import FaultInjected
from raft_chaos.raft.state.timing import Timing

FIRST_SEEDS = 40
"""Under so many seeds a schedule is tried at first: that of a live run never said what its network did."""
SEEDS = (4, 16, 64)
"""Under so many a smaller one is tried; under more where the fewer left much of it."""
MUCH = 4
"""So many faults are much: what takes more than that is seldom brought about by most seeds."""
LATER_US = 2_000_000
"""How much later than the present violation another seed's may come."""
SEED_LIMIT = 1_000_000

TRIALS = 12
"""So many runs as in live say how often a schedule fails."""
NOTICED_US = (2_000, 12_000)
"""How long after its anchor a fault strikes in `live`: events are read from files, and links cut through the proxy."""


class ScheduleCandidate(msgspec.Struct, frozen=True):
    """A schedule that may still break the invariant, over the right core or a mutant.

    It must do so under one of `seeds` seeds, and then in `needed` of `TRIALS` runs as in live.
    """

    schedule: Schedule
    timing: Timing
    mutant: str | None
    invariant: str
    seeds: int
    needed: int = 0


def attempt(candidate: ScheduleCandidate) -> Schedule | None:
    """Runs it until the violation; returns what came to pass, under the seed that did it, or None.

    What did not come to pass in this run may be what other runs need; then it stays.
    """
    for number in range(candidate.seeds):
        schedule = under_seed(candidate.schedule, number)
        run = _run(candidate, schedule)
        if run is not None:
            forms = (_came_to_pass(schedule, run), schedule)
            return next((form for form in forms if _is_robust(replace(candidate, schedule=form))), None)
    return None


def _run(candidate: ScheduleCandidate, schedule: Schedule) -> VirtualRun | None:
    """A run that broke the invariant, or None."""
    run = VirtualRun(
        schedule, timing=candidate.timing, driver=MemoryDriver(parts_of(candidate.mutant)), until=candidate.invariant
    )
    verdicts = run.go().analysis.invariants
    return run if any(v.invariant == candidate.invariant and v.outcome == "violated" for v in verdicts) else None


def _is_robust(candidate: ScheduleCandidate) -> bool:
    """Whether enough of the trials fail; ends as soon as that is known."""
    missing, left = candidate.needed, TRIALS
    while 0 < missing <= left:
        missing -= fails_as_in_live(candidate, left)
        left -= 1
    return missing <= 0


def fails_as_in_live(candidate: ScheduleCandidate, number: int) -> bool:
    """Whether its `number`th run as in live breaks the invariant."""
    return _run(candidate, as_in_live(candidate.schedule, number)) is not None


def as_in_live(schedule: Schedule, number: int) -> Schedule:
    """The schedule under another seed, its anchored faults as late as the harness is in real time."""
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
    """The schedule under the `number`th seed that follows from its own, which is number 0."""
    seed = schedule.header.seed
    if not number:
        return schedule
    return replace(schedule, header=replace(schedule.header, seed=stream_seed(seed, f"shrink/{number}") % SEED_LIMIT))


def _came_to_pass(schedule: Schedule, run: VirtualRun) -> Schedule:
    """Without the faults that did not fire by then and the operations that nobody began, and with an end soon after.

    Up to the violation the run is the same.
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
    """Shrinks one schedule; `run` returns whether no single fault, operation, client or node can go any more.

    With `lasting` it must go on failing often. Raises NotReproducedError where no run of it in `sim` breaks the
    invariant.
    """

    def __init__(
        self,
        schedule: Schedule,
        timing: Timing,
        mutant: str | None,
        invariant: str,
        *,
        lasting: bool,
        budget_s: float,
        jobs: int,
        progress: Callable[[Search[ScheduleCandidate, Schedule]], None] = lambda search: None,
    ) -> None:
        self._timing = timing
        self._mutant = mutant
        self._invariant = invariant
        self._lasting = lasting
        self._seeds = SEEDS[0]
        self._needed = 0
        self.search: Search[ScheduleCandidate, Schedule] = Search(schedule, attempt, budget_s, jobs, progress)

    @property
    def schedule(self) -> Schedule:
        """The smallest so far."""
        return self.search.state

    def run(self) -> bool:
        found = False
        try:
            with self.search:
                found = self._begin()
                for self._seeds in SEEDS:
                    self._try_each(header_candidates(self.schedule))
                    before = None
                    while before is not self.schedule:  # a simpler fault may let another one go
                        before = self.schedule
                        self._reduce()
                        self._simplify()
                    if len(self.schedule.faults) <= MUCH:
                        break
            return True
        except BudgetEndedError:
            if not found:
                raise NotReproducedError(f"the time ended before a run in sim broke {self._invariant}") from None
            return False

    def _begin(self) -> bool:
        """The whole schedule under a seed that fails, with faults of real time alone if it does so with those."""
        whole = self.schedule
        for part in (*live_fault_candidates(whole), whole):
            self._needed = self._fails_as_in_live(part) // 2 if self._lasting else 0
            if self._first_seeds(part):
                return True
        raise NotReproducedError(f"no run of this schedule in sim broke {self._invariant}, under {FIRST_SEEDS} seeds")

    def _first_seeds(self, schedule: Schedule) -> bool:
        return self._first(self._candidate(under_seed(schedule, number), 1) for number in range(FIRST_SEEDS))

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
        """The schedule with each changed form of the fault of that name, if it is still there."""
        faults = self.schedule.faults
        for place, fault in enumerate(faults):
            if fault.id == name:
                for changed in change(fault):
                    yield replace(self.schedule, faults=[*faults[:place], changed, *faults[place + 1 :]])

    def _without_faults(self, schedule: Schedule, first: int, end: int) -> ScheduleCandidate:
        return self._candidate(replace(schedule, faults=[*schedule.faults[:first], *schedule.faults[end:]]))

    def _without_operations(self, schedule: Schedule, first: int, end: int) -> ScheduleCandidate:
        return self._candidate(replace(schedule, operations=[*schedule.operations[:first], *schedule.operations[end:]]))

    def _try_each(self, schedules: Iterable[Schedule]) -> bool:
        return self._first(self._candidate(schedule) for schedule in schedules)

    def _first(self, candidates: Iterable[ScheduleCandidate]) -> bool:
        return self.search.first(candidates) is not None

    def _fails_as_in_live(self, schedule: Schedule) -> int:
        trials = (as_in_live(schedule, number) for number in range(1, TRIALS + 1))
        once = self._candidate(schedule, seeds=1)
        return sum(self.search.all(replace(once, schedule=trial, needed=0) for trial in trials))

    def _candidate(self, schedule: Schedule, seeds: int = 0) -> ScheduleCandidate:
        return ScheduleCandidate(
            schedule, self._timing, self._mutant, self._invariant, seeds or self._seeds, self._needed
        )


def _sooner(fault: Fault) -> Iterator[Fault]:
    return (replace(fault, when=when) for when in when_candidates(fault.when))
