"""The search by runs in real time, with a scripted system: how often a schedule fails is a pure function of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any

import msgspec
import pytest

from builders.schedules import TIMING, fault, schedule
from raft_chaos.chaos.faults.partition import Partition
from raft_chaos.chaos.faults.pause import Pause
from raft_chaos.chaos.faults.process import Kill
from raft_chaos.chaos.reproduction.make import NotReproducedError
from raft_chaos.chaos.reproduction.system import Rate
from raft_chaos.chaos.run.settings import Settings
from raft_chaos.chaos.schedule.check import check_schedule
from raft_chaos.chaos.schedule.config import ScheduleConfig
from raft_chaos.chaos.schedule.data import Operation, Schedule
from raft_chaos.chaos.shrink.live_schedules import Convicted, LiveCandidate, LiveFailure, LiveShrinker
from raft_chaos.chaos.shrink.search import WorkerDiedError
from raft_chaos.chaos.shrink.unsteady import MOST_TRIES, tries_for
from raft_chaos.invariants.history import Op
from raft_chaos.invariants.verdict import Violation

FOR_EVER_S = 1e6
INVARIANT = "acknowledged_writes"
CUT = {"n1": ["n3", "n5"], "n3": ["n1"], "n5": ["n1"]}
WRITE, READ = "c1/8", "c0/10"
OfSchedule = Callable[[Schedule], tuple[int, int]]


def whole() -> Schedule:
    """Three kinds of faults, three clients, five nodes, and a reader at each node."""
    made = schedule(
        [
            fault("f01", 750_000, Kill(["n2"], [100_000])),
            fault("f02", 800_000, Partition("halves", CUT), 600_000),
            fault("f03", 900_000, Pause(["n4"]), 200_000),
            fault("f04", 1_300_000, Kill(["n5"], [100_000])),
        ],
        nodes=5,
        every_us=40_000,
        required=["leader_killed"],
    )
    readers = [
        Operation(id=f"r-{node}/0", client=f"r-{node}", at_us=1_000_000, f="get", key="reg/c1", node=node)
        for node in made.header.nodes
    ]
    header = msgspec.structs.replace(made.header, clients=[*made.header.clients, *(one.client for one in readers)])
    return Schedule(header, made.faults, sorted([*made.operations, *readers], key=lambda one: one.at_us))


def kinds(one: Schedule) -> set[str]:
    return {fault.action.kind() for fault in one.faults}


def names(one: Schedule) -> set[str]:
    return {operation.id for operation in one.operations}


def by_a_cut(one: Schedule) -> tuple[int, int]:
    """Always fails if a write and a read are there, and a cut that separates n1 from n3."""
    return (5, 5) if {WRITE, READ} <= names(one) and "partition" in kinds(one) else (0, 5)


@dataclass
class Scripted:
    """Run number i of a schedule, counted from `first`, fails if i modulo `runs` is below `violated`. Counts all."""

    rate: OfSchedule
    first: int = 0
    witness: tuple[str, ...] = (WRITE, READ)
    shown_us: int = 1_200_000
    runs: Counter[bytes] = field(default_factory=Counter)

    def __call__(self, candidate: LiveCandidate) -> Convicted | None:
        check_schedule(candidate.schedule)
        name = msgspec.json.encode(candidate.schedule)
        self.runs[name] += 1
        violated, runs = self.rate(candidate.schedule)
        return self.convicted(candidate.schedule) if (self.first + self.runs[name] - 1) % runs < violated else None

    def convicted(self, one: Schedule) -> Convicted:
        times = {operation.id: operation.at_us for operation in one.operations}
        witness = tuple(
            Op(type="ok", process=0, client=name.split("/")[0], op=name, f="get", key="reg/c1", t_us=times[name])
            for name in self.witness
            if name in times
        )
        return Convicted(one, Violation(INVARIANT, "wrong", "a rule", witness), self.shown_us)


def shrinker(runner: Scripted, of: Schedule, budget_s: float = FOR_EVER_S, jobs: int = 1) -> LiveShrinker:
    config = ScheduleConfig(election_timeout_us_max=TIMING.election_timeout_max_us)
    settings = Settings(world="live", schedule=config, timing=TIMING, foreign="scripted")
    failure = LiveFailure(INVARIANT, settings, runner.convicted(of))
    return LiveShrinker(failure, budget_s, jobs, Path("unused"), attempt=runner, apart=False)


# ---- what is left ------------------------------------------------------------------------------------------------


def test_only_what_the_violation_needs_is_left() -> None:
    runner = Scripted(by_a_cut)
    done = shrinker(runner, whole()).run()
    left = done.smallest.schedule
    assert (kinds(left), len(left.faults), names(left)) == ({"partition"}, 1, {WRITE, READ})
    assert (left.header.nodes, left.header.clients) == (["n1", "n2", "n3"], ["c0", "c1"])
    assert (left.header.required, left.header.liveness_for_us) == ([], 0)
    assert left.faults[0].when.at_us == 0 and left.faults[0].duration_us < 600_000
    assert (done.minimal, done.interrupted) == (True, False)
    assert (done.before, done.rate) == (Rate(5, 5), Rate(5, 5))
    assert done.runs == sum(runner.runs.values()) < 150


def test_a_violation_without_faults_needs_few_runs() -> None:
    runner = Scripted(lambda one: (1, 1) if WRITE in names(one) else (0, 1))
    left = shrinker(runner, whole()).run().smallest.schedule
    assert (left.faults, names(left)) == ([], {WRITE})
    assert sum(runner.runs.values()) < 60
    assert not [name for name in runner.runs if not msgspec.json.decode(name, type=Schedule).operations], "hopeless"


def test_faults_that_were_not_in_force_go_at_once() -> None:
    """Twenty faults, of which two are needed, and overlap the violation."""
    many = [fault(f"g{n:02}", 700_000 + n, Pause(["n4"]), 1_000) for n in range(9)]
    many += [fault(f"h{n:02}", 1_000_000 + n, Kill(["n5"], [1_000])) for n in range(9)]
    first = whole()
    late = [fault("z1", 1_350_000, Pause(["n2"]), 100_000), fault("z2", 1_360_000, Kill(["n3"], [1_000]))]
    runner = Scripted(lambda one: (1, 1) if {"z1", "z2"} <= {f.id for f in one.faults} else (0, 1), shown_us=1_700_000)
    of = msgspec.structs.replace(first, faults=[*many, *late])
    shrinker(runner, of).run()
    left = [[fault.id for fault in msgspec.json.decode(name, type=Schedule).faults] for name in runner.runs]
    before = left[: left.index(["z1", "z2"])]
    assert before[-1] == [] and {len(one) for one in before} <= {0, 9, 18, 20}, "right after the attempt without any"


def test_a_violation_without_operations_needs_only_the_fault() -> None:
    """A node that ends by itself. A client without operations stays, since a schedule has at least one."""
    runner = Scripted(lambda one: (1, 1) if "kill" in kinds(one) else (0, 1), witness=())
    left = shrinker(runner, whole()).run().smallest.schedule
    assert (len(left.faults), kinds(left), left.operations) == (1, {"kill"}, [])
    assert len(left.header.clients) == 1


def test_an_operation_of_a_node_goes_with_it() -> None:
    runner = Scripted(lambda one: (1, 1) if "r-n3/0" in names(one) else (0, 1))
    left = shrinker(runner, whole()).run().smallest.schedule
    assert names(left) == {"r-n3/0"} and "n3" in left.header.nodes and len(left.header.nodes) == 3


def test_final_reads_that_show_nothing_go_and_one_that_shows_it_stays() -> None:
    """A final read of the shorter schedule is due at its end: the run would wait for it otherwise."""
    first = whole()
    finals = [
        Operation(id=f"r-{node}/1", client=f"r-{node}", at_us=1_800_000, f="get", key="reg/c1", node=node, final=True)
        for node in first.header.nodes
    ]
    with_finals = msgspec.structs.replace(first, operations=[*first.operations, *finals])
    assert names(shrinker(Scripted(by_a_cut), with_finals).run().smallest.schedule) == {WRITE, READ}
    runner = Scripted(lambda one: (1, 1) if {WRITE, "r-n2/1"} <= names(one) else (0, 1))
    left = shrinker(runner, with_finals).run().smallest.schedule
    assert names(left) == {WRITE, "r-n2/1"}
    assert left.operations[-1].at_us <= left.header.safety_until_us < 1_500_000


def test_nothing_is_tried_twice_that_did_not_fail() -> None:
    runner = Scripted(by_a_cut)
    done = shrinker(runner, whole()).run()
    last = msgspec.json.encode(done.smallest.schedule)
    often = [
        number for name, number in runner.runs.items() if not by_a_cut(msgspec.json.decode(name, type=Schedule))[0]
    ]
    assert set(often) == {2}, "each candidate that did not fail was tried as often as one is, once"
    assert runner.runs[last] >= 5, "the result was measured"


# ---- how often it fails ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("violated", "tries"), [(0, MOST_TRIES), (1, 6), (2, 5), (3, 3), (4, 2), (5, 2)])
def test_what_fails_seldom_is_tried_more_often(violated: int, tries: int) -> None:
    assert tries_for(violated, 5) == tries


def test_what_never_fails_is_not_reproduced() -> None:
    runner = Scripted(lambda one: (0, 1))
    with pytest.raises(NotReproducedError, match="it was not violated in 0/20 runs; a longer --budget allows more"):
        shrinker(runner, whole()).run()


def test_the_first_violation_is_waited_for() -> None:
    """A schedule that fails in every seventh run only."""
    seen: list[str] = []
    one = shrinker(Scripted(lambda one: (1, 7), first=1), whole())
    one.progress = lambda what, runs, schedule: seen.append(what)
    assert one.run().before == Rate(1, 7)
    assert list(dict.fromkeys(seen)) == ["measuring the whole schedule", "shrinking", "measuring the result"]


@pytest.mark.parametrize(("times", "minimal"), [(1, True), (2, False)])
def test_what_failed_by_luck_is_not_the_result(times: int, minimal: bool) -> None:
    """Whatever is smaller fails once, and is not taken; or twice, is taken, and turns out not to fail any more."""
    first = msgspec.json.encode(whole().faults)

    def rate(one: Schedule) -> tuple[int, int]:
        if msgspec.json.encode(one.faults) == first and len(one.operations) > 20:
            return 5, 5
        return times, 1_000

    done = shrinker(Scripted(rate), whole()).run()
    assert msgspec.json.encode(done.smallest.schedule.faults) == first
    assert (done.rate, done.minimal) == (Rate(5, 5), minimal)


@pytest.mark.parametrize("steady", range(12))
def test_the_last_state_that_fails_often_is_found_by_halves(steady: int) -> None:
    """Of twelve states, those after `steady` fail no more; `kept` has as many operations as its place says."""
    operations = whole().operations[:12]
    kept = [
        Convicted(
            msgspec.structs.replace(whole(), operations=operations[place:]), Violation(INVARIANT, "wrong", "", ()), 0
        )
        for place in range(12)
    ]
    runner = Scripted(lambda one: (5, 5) if len(one.operations) >= 12 - steady else (0, 5))
    one = shrinker(runner, whole())
    one._began_s = monotonic()
    state, rate = one._steady(kept, Rate(5, 5))
    assert (state is kept[steady], rate) == (True, Rate(5, 5))
    assert sum(runner.runs.values()) <= 5 * 6


# ---- the budget and Ctrl-C ---------------------------------------------------------------------------------------


def test_an_interrupt_keeps_the_smallest_so_far() -> None:
    runner = Scripted(by_a_cut)
    one = shrinker(runner, whole())
    taken: list[Convicted] = []

    def kept(state: Convicted, before: Rate) -> None:
        if state not in taken:
            taken.append(state)
        if len(taken) == 4:
            one.interrupt()

    one.taken = kept
    done = one.run()
    assert (done.interrupted, done.minimal, done.rate) == (True, False, None)
    assert done.smallest is taken[-1] and len(taken) == 4
    sizes = [len(msgspec.json.encode(state.schedule)) for state in taken]
    assert sizes == sorted(sizes, reverse=True) and sizes[-1] < sizes[0]


def test_an_interrupt_while_the_whole_is_measured_keeps_the_whole() -> None:
    one = shrinker(Scripted(by_a_cut), whole())
    one.taken = lambda state, before: one.interrupt()
    done = one.run()
    assert (done.interrupted, done.before, done.runs) == (True, Rate(1, 1), 1)
    assert len(done.smallest.schedule.operations) == len(whole().operations)


def test_an_interrupt_before_the_first_violation_leaves_nothing() -> None:
    runner = Scripted(by_a_cut)
    one = shrinker(runner, whole())
    one.progress = lambda what, runs, schedule: one.interrupt()
    with pytest.raises(NotReproducedError, match="interrupted"):
        one.run()


def test_the_death_of_a_worker_ends_the_search_and_not_what_it_found() -> None:
    runner = Scripted(by_a_cut)
    one = shrinker(runner, whole())

    def dies(candidate: LiveCandidate) -> Convicted | None:
        if len(candidate.schedule.header.nodes) < 5:
            raise WorkerDiedError("killed")
        return runner(candidate)

    one.attempt = dies
    done = one.run()
    assert (done.worker_died, done.minimal, done.rate) == (True, False, Rate(5, 5))
    assert kinds(done.smallest.schedule) == {"partition"}


def test_without_a_budget_nothing_is_reproduced() -> None:
    with pytest.raises(NotReproducedError, match="before the first run ended; a longer --budget"):
        shrinker(Scripted(by_a_cut), whole(), budget_s=0.0).run()


def test_the_first_violation_may_take_more_than_its_share_of_the_budget() -> None:
    """The first share ends before a run does, as on a machine that is busy."""
    one = shrinker(Scripted(by_a_cut), whole())
    measured = one._measured
    calls: list[int] = []

    def slow(what: str, state: Convicted, share: float, most: int = 5, runs: int = 5, **more: Any) -> Rate:
        calls.append(runs)
        return Rate(0, 0) if len(calls) == 1 else measured(what, state, share, most, runs, **more)

    one._measured = slow  # type: ignore[method-assign]
    assert one.run().before == Rate(1, 1) and calls[:2] == [5, 1]
