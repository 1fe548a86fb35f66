"""Shrinks a schedule by runs in real time, for a system that the harness cannot run in virtual time.

No two such runs are the same, and each takes seconds. So the whole schedule is measured first: in how many of a few
runs does it violate the invariant? This decides how often a candidate is tried; it is taken once it has failed twice.
In order:

1. an earlier end, which makes all later runs shorter;
2. no faults, or only those in force then, or only those of some kinds; fewer nodes; only the operations of the
   violation, or of its keys;
3. single faults, clients, nodes, operations, until none can be removed; then smaller, shorter and earlier faults, and
   an earlier end and beginning. If a fault became smaller, others may be removable now, and this begins anew.

A candidate that is taken by chance makes all later ones fail less often. So the result is measured in the end, and if
it fails much less often than the whole, the last state that does not is taken instead.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from time import monotonic

import msgspec
from msgspec.structs import replace

from raft_chaos.chaos.processes.shortage import HarnessError, SetupError
from raft_chaos.chaos.reproduction.live_rate import run_once
from raft_chaos.chaos.reproduction.make import NotReproducedError
from raft_chaos.chaos.reproduction.system import Rate
from raft_chaos.chaos.run.settings import Settings
from raft_chaos.chaos.schedule.data import Fault, Schedule
from raft_chaos.chaos.schedule.follow import without_orphans
from raft_chaos.chaos.shrink.candidates import fault_candidates, when_candidates
from raft_chaos.chaos.shrink.live_candidates import (
    bare,
    fewer_faults,
    of_the_witness,
    one_node_less,
    smallest_cluster,
    sooner_begun,
    sooner_ended,
    tidy,
    without_final_reads,
)
from raft_chaos.chaos.shrink.search import BudgetEndedError, Search, WorkerDiedError, reduce
from raft_chaos.chaos.shrink.unsteady import UnsteadySearch, tries_for
from raft_chaos.invariants.events import PhaseStarted
from raft_chaos.invariants.history import Op
from raft_chaos.invariants.rundir import RunDir, RunInfo
from raft_chaos.invariants.verdict import Violation

RUNS = 5
"""How many runs measure a rate."""
MOST_RUNS = 20
"""How many runs wait for the first violation of the whole schedule."""
SHARE_OF_FIRST, SHARE_OF_SEARCH = 0.3, 0.75
"""The shares of the remaining time for the rate of the whole schedule, and for the search."""


class Convicted(msgspec.Struct, frozen=True):
    """A schedule, the violation in one of its runs, and the time of the schedule at which it showed."""

    schedule: Schedule
    violation: Violation
    shown_us: int

    @property
    def from_us(self) -> int:
        """The time of the schedule at which the first event of the violation's witness happened."""
        times = [item.t_us for item in self.violation.witness]
        return self.shown_us - (max(times) - min(times)) if times else self.shown_us


class LiveCandidate(msgspec.Struct, frozen=True):
    """A schedule that may violate the invariant. Run directories are made in `out`. `strict`: an error of the harness
    is raised; otherwise the run only does not count."""

    schedule: Schedule
    settings: Settings
    invariant: str
    out: str
    strict: bool = False


def attempt(candidate: LiveCandidate) -> Convicted | None:
    """One run. Raises SetupError, HarnessError if the candidate is strict."""
    try:
        run, info = run_once(candidate.schedule, candidate.settings, candidate.invariant, Path(candidate.out))
    except (SetupError, HarnessError) as error:
        if not candidate.strict:
            return None
        raise (SetupError if isinstance(error, SetupError) else HarnessError)(str(error)) from None
    try:
        return convicted(run, info, candidate.schedule, candidate.invariant)
    finally:
        shutil.rmtree(run.path, ignore_errors=True)


def convicted(run: RunDir, info: RunInfo, schedule: Schedule, invariant: str) -> Convicted | None:
    """The schedule with the first violation of the invariant in its run, or None."""
    found = [one for verdict in info.invariants if verdict.invariant == invariant for one in verdict.violations]
    if not found:
        return None
    zero_us = next((event.t_us for event in run.harness_events() if isinstance(event, PhaseStarted)), 0)
    last_us = max((item.t_us for item in found[0].witness), default=zero_us)
    return Convicted(schedule, found[0], max(0, last_us - zero_us))


@dataclass
class LiveFailure:
    """The failure to shrink, and the settings with which its system runs."""

    invariant: str
    settings: Settings
    whole: Convicted


@dataclass
class LiveShrunk:
    """The result. `before` and `rate` are the rates of the whole schedule and of the result; `rate` is None if no time
    was left to measure it. `minimal`: no single part can be removed."""

    smallest: Convicted
    before: Rate
    rate: Rate | None
    runs: int
    seconds: float
    minimal: bool
    interrupted: bool
    worker_died: bool


@dataclass
class LiveShrinker:
    """Shrinks one failure within `budget_s` seconds, with `jobs` runs at once, whose directories are made in `out`.

    `progress` is told after each run what is done, the number of runs, and the smallest schedule so far; `taken` is
    told each smaller one. `attempt` runs a candidate once; `apart`: in processes of its own, which can be given up.
    """

    failure: LiveFailure
    budget_s: float
    jobs: int
    out: Path
    progress: Callable[[str, int, Schedule], None] = lambda what, runs, schedule: None
    taken: Callable[[Convicted, Rate], None] = lambda state, before: None
    attempt: Callable[[LiveCandidate], Convicted | None] = attempt
    apart: bool = True
    _runs: int = 0
    _searching: bool = False
    _stopped: bool = False
    _died: bool = False

    def interrupt(self) -> None:
        """For the handler of a signal: ends the search under way, and `run` returns the best so far."""
        self._stopped = True
        if self._searching:
            raise KeyboardInterrupt

    def run(self) -> LiveShrunk:
        """Raises NotReproducedError if no run violates the invariant; SetupError, HarnessError and WorkerDiedError of
        the first runs. Later on the death of a worker only ends the search."""
        self._began_s = monotonic()
        whole = replace(self.failure.whole, schedule=bare(self.failure.whole.schedule))
        before = self._measured_whole(whole)
        if not before.violated:
            what = f"in {before} runs" if before.runs else "before the first run ended"
            why = "interrupted " if self._stopped else "it was not violated "
            raise NotReproducedError(why + what + ("" if self._stopped else "; a longer --budget allows more"))
        kept, minimal = self._smaller(whole, before)
        try:
            state, rate = self._steady(kept, before)
        except WorkerDiedError:
            self._died, state, rate = True, kept[-1], None
        minimal = minimal and state is kept[-1]
        return LiveShrunk(
            state, before, rate, self._runs, monotonic() - self._began_s, minimal, self._stopped, self._died
        )

    # ---- rates ----------------------------------------------------------------------------------------------------

    def _measured_whole(self, whole: Convicted) -> Rate:
        """The rate of the whole schedule. The first violation may take more than the share of the time."""
        what = "measuring the whole schedule"

        def keep(rate: Rate) -> None:
            if rate.violated:
                self._take(whole, rate)

        rate = self._measured(what, whole, SHARE_OF_FIRST, MOST_RUNS, after_each=keep)
        if rate.violated or rate.runs >= MOST_RUNS or self._stopped:
            return rate
        more = self._measured(what, whole, SHARE_OF_SEARCH, MOST_RUNS - rate.runs, runs=1, after_each=keep)
        return Rate(more.violated, rate.runs + more.runs)

    def _measured(
        self,
        what: str,
        state: Convicted,
        share: float,
        most: int = RUNS,
        runs: int = RUNS,
        after_each: Callable[[Rate], None] = lambda rate: None,
    ) -> Rate:
        """The rate in `runs` runs, or up to `most` until the first violation; in fewer if the time ends before."""
        outcomes: list[bool] = []
        search: Search[LiveCandidate, Convicted] = Search(
            state,
            self.attempt,
            self._left_s() * share,
            self.jobs,
            lambda one: self.progress(what, self._runs + one.replays, state.schedule),
            apart=self.apart,
            ahead=1,
        )
        candidate = replace(self._candidate(state.schedule), strict=True)
        try:
            with self._interruptible(), search:
                while len(outcomes) < runs or (len(outcomes) < most and not any(outcomes)):
                    left = max(1, runs - len(outcomes))
                    outcomes += search.all([candidate] * min(self.jobs, left))
                    after_each(Rate(sum(outcomes), len(outcomes)))
        except (BudgetEndedError, KeyboardInterrupt):
            pass
        self._runs += search.replays
        return Rate(sum(outcomes), len(outcomes))

    def _steady(self, kept: list[Convicted], before: Rate) -> tuple[Convicted, Rate | None]:
        """The last state that fails at least half as often as the whole, found by halves, and its rate."""
        good, bad, rate = 0, len(kept), None
        place = len(kept) - 1
        while True:
            measured = self._measured("measuring the result", kept[place], 1.0)
            if not measured.runs:
                # Nothing is known of it but the runs in which it failed. Those that were measured later are worse.
                return (kept[place], None) if rate is None else (kept[good], rate)
            if place == 0 or 2 * measured.violated * before.runs >= before.violated * measured.runs:
                good, rate = place, measured
            else:
                bad = place
            if bad - good <= 1 and rate is not None:
                return kept[good], rate
            place = (good + bad) // 2

    # ---- the search -----------------------------------------------------------------------------------------------

    def _smaller(self, whole: Convicted, before: Rate) -> tuple[list[Convicted], bool]:
        """All states of the search, the smallest last, and whether that is minimal."""
        needs_clients = any(isinstance(item, Op) for item in whole.violation.witness)
        self._search: UnsteadySearch[LiveCandidate, Convicted] = UnsteadySearch(
            whole,
            self.attempt,
            self._left_s() * SHARE_OF_SEARCH,
            self.jobs,
            self._report,
            apart=self.apart,
            ahead=1,
            tries=tries_for(before.violated, before.runs),
            name_of=_name_of,
            tried={_name_of(self._candidate(whole.schedule))},
            is_hopeless=lambda candidate: needs_clients and not candidate.schedule.operations,
        )
        self._before, self._told = before, whole
        minimal = True
        try:
            with self._interruptible(), self._search:
                self._in_large()
                while True:
                    self._fewer_parts()
                    actions = [fault.action for fault in self._now.schedule.faults]
                    self._smaller_parts()
                    if actions == [fault.action for fault in self._now.schedule.faults]:
                        break
        except (BudgetEndedError, KeyboardInterrupt):
            minimal = False
        except WorkerDiedError:
            self._died, minimal = True, False
        self._runs += self._search.replays
        kept = self._search.kept
        return kept if kept[-1] is self._now else [*kept, self._now], minimal  # an interrupt may come in between

    @property
    def _now(self) -> Convicted:
        return self._search.state

    def _report(self, search: Search[LiveCandidate, Convicted]) -> None:
        if search.state is not self._told:
            self._told = search.state
            self._take(search.state, self._before)
        self.progress("shrinking", self._runs + search.replays, search.state.schedule)

    def _take(self, state: Convicted, before: Rate) -> None:
        """An interrupt does not end what is done with the state half-way; it ends the search afterwards."""
        self._searching = False
        self.taken(state, before)
        self._searching = True
        if self._stopped:
            raise KeyboardInterrupt

    def _in_large(self) -> None:
        """What gains most by a single candidate."""
        self._try(sooner_ended(self._now.schedule, self._now.shown_us))
        self._try(without_final_reads(self._now.schedule))
        self._try(fewer_faults(self._now.schedule, self._now.from_us, self._now.shown_us))
        self._try(smallest_cluster(self._now.schedule))
        self._try(self._of_the_witness())
        self._try(sooner_ended(self._now.schedule, self._now.shown_us))

    def _fewer_parts(self) -> None:
        """Removes single parts, of which each may make others removable."""
        last = None
        while last is not self._now:
            last = self._now
            reduce(self._search, lambda state: len(state.schedule.faults), self._without_faults)
            reduce(self._search, lambda state: len(state.schedule.header.clients), self._without_clients)
            while self._try(one_node_less(self._now.schedule)):
                pass
            self._try(self._of_the_witness())
            reduce(self._search, lambda state: len(state.schedule.operations), self._without_operations)

    def _smaller_parts(self) -> None:
        for fault in self._now.schedule.faults:
            while self._try(self._with(fault.id)):
                pass
        self._try(sooner_ended(self._now.schedule, self._now.shown_us))
        while self._try(sooner_begun(self._now.schedule)):
            pass

    # ---- candidates -----------------------------------------------------------------------------------------------

    def _of_the_witness(self) -> Iterator[Schedule]:
        ops = [item for item in self._now.violation.witness if isinstance(item, Op)]
        yield from of_the_witness(self._now.schedule, {op.op for op in ops}, {op.key for op in ops})

    def _with(self, name: str) -> Iterator[Schedule]:
        """The schedule with each candidate for the fault of that name, if it is still there."""
        faults = self._now.schedule.faults
        for place, fault in enumerate(faults):
            if fault.id == name:
                for changed in (*fault_candidates(fault), *_sooner(fault)):
                    yield replace(self._now.schedule, faults=[*faults[:place], changed, *faults[place + 1 :]])

    def _without_faults(self, state: Convicted, first: int, end: int) -> LiveCandidate:
        faults = state.schedule.faults
        return self._candidate(replace(state.schedule, faults=[*faults[:first], *faults[end:]]))

    def _without_clients(self, state: Convicted, first: int, end: int) -> LiveCandidate:
        gone = state.schedule.header.clients[first:end]
        operations = [one for one in state.schedule.operations if one.client not in gone]
        return self._candidate(tidy(replace(state.schedule, operations=operations)))

    def _without_operations(self, state: Convicted, first: int, end: int) -> LiveCandidate:
        operations = state.schedule.operations
        return self._candidate(tidy(replace(state.schedule, operations=[*operations[:first], *operations[end:]])))

    def _try(self, schedules: Iterable[Schedule]) -> bool:
        return self._search.first(self._candidate(schedule) for schedule in schedules) is not None

    def _candidate(self, schedule: Schedule) -> LiveCandidate:
        schedule = replace(schedule, faults=without_orphans(schedule.faults))
        return LiveCandidate(schedule, self.failure.settings, self.failure.invariant, str(self.out))

    @contextmanager
    def _interruptible(self) -> Iterator[None]:
        """Runs, which raise KeyboardInterrupt if the user stops them, or has stopped earlier ones."""
        if self._stopped:
            raise KeyboardInterrupt
        self._searching = True
        try:
            yield
        finally:
            self._searching = False

    def _left_s(self) -> float:
        return max(0.0, self.budget_s - (monotonic() - self._began_s))


def _name_of(candidate: LiveCandidate) -> str:
    return sha256(msgspec.json.encode(candidate.schedule)).hexdigest()


def _sooner(fault: Fault) -> Iterator[Fault]:
    return (replace(fault, when=when) for when in when_candidates(fault.when))
