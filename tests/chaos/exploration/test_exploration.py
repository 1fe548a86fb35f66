"""Explorations: what they choose, that they continue where they were stopped, and what they leave of a failure."""

from __future__ import annotations

from concurrent.futures import BrokenExecutor, Executor, Future
from pathlib import Path
from typing import Any

import pytest

from builders.campaigns import ALWAYS_CONVICTED, settings
from raft_chaos.chaos.exploration import exploration as loop
from raft_chaos.chaos.exploration.attempt import Reached, carry_out
from raft_chaos.chaos.exploration.corpus import Corpus
from raft_chaos.chaos.exploration.explorer import FEWEST_KEPT, STRATEGIES, Explorer
from raft_chaos.chaos.exploration.journal import AttemptEnded, ExplorationError
from raft_chaos.chaos.schedule.file import load
from raft_chaos.invariants.rundir import RunDir

SMALL = settings(duration_s=2.2, liveness_s=0.2)


class Here(Executor):
    """Runs each call at once, in this process."""

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_result(fn(*args, **kwargs))
        return future


class Attempts:
    """Each look at the clock takes a second, so a budget is a number of attempts."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1
        return self.now


def explored(out: Path, attempts: int, **options: Any) -> tuple[list[AttemptEnded], list[AttemptEnded]]:
    """The attempts of earlier calls, and those of this one."""
    mutant = options.pop("mutant", None)
    used, options = settings(mutant, duration_s=2.2, liveness_s=0.2), {"strategy": "guided"} | options
    with loop.Exploration(used, 1, out, budget_s=attempts, clock=Attempts(), **options) as one:
        return list(one.earlier()), list(one.run(Here))


@pytest.mark.slow
def test_it_starts_fresh_and_then_takes_every_way() -> None:
    explorer, ways = Explorer(SMALL, 1, STRATEGIES["guided"], Corpus(None)), []
    for number in range(24):
        attempt = explorer.next(number)
        ways.append(attempt.way)
        explorer.took(attempt, carry_out(attempt.schedule, SMALL.timing, None))
    assert ways[:FEWEST_KEPT] == ["fresh"] * FEWEST_KEPT
    assert {*ways} == {*STRATEGIES["guided"]}


def test_the_swarm_alone_is_a_campaign(tmp_path: Path) -> None:
    _, ended = explored(tmp_path, 3, strategy="swarm")
    assert [one.seed for one in ended] == [1, 2, 3]
    assert {one.way for one in ended} == {"fresh"}


def test_it_continues_where_it_was_stopped(tmp_path: Path) -> None:
    _, first = explored(tmp_path, 4)
    earlier, second = explored(tmp_path, 2)
    assert earlier == first
    assert [one.number for one in second] == [4, 5]
    journal = next(tmp_path.glob("explore-*/journal.jsonl"))
    journal.write_bytes(journal.read_bytes()[:-5])  # killed in the middle of a line
    assert [one.number for one in explored(tmp_path, 1)[0]] == list(range(5))


class Counts(Here):
    """Counts what is submitted."""

    def __init__(self) -> None:
        self.calls = 0

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        self.calls += 1
        return super().submit(fn, *args, **kwargs)


@pytest.mark.parametrize(("jobs", "under_way"), [(1, 16), (8, 16), (20, 40)])
def test_many_processes_have_work_and_few_change_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, jobs: int, under_way: int
) -> None:
    monkeypatch.setattr(loop, "carry_out", lambda schedule, timing, mutant: Reached({}, "valid", [], 1, 0.0))
    small, executor = settings(duration_s=2.2, liveness_s=0.2), Counts()
    with loop.Exploration(small, 1, tmp_path, budget_s=60, jobs=jobs, clock=Attempts()) as one:
        next(one.run(lambda: executor))
    assert executor.calls == under_way


def test_no_state_is_new_twice(tmp_path: Path) -> None:
    _, ended = explored(tmp_path, 3)
    new = [state for one in ended for state in one.first_us]
    assert len(new) == len({*new}) > 0


class Fails(Here):
    """Its second call fails; `how` it does."""

    def __init__(self, how: Exception) -> None:
        self.how, self.calls = how, 0

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        self.calls += 1
        if self.calls != 2:
            return super().submit(fn, *args, **kwargs)
        future: Future[Any] = Future()
        future.set_exception(self.how)
        return future


@pytest.mark.parametrize(
    ("how", "raised", "next_number"),
    [(LookupError("no way"), LookupError, 2), (BrokenExecutor("killed"), ExplorationError, 1)],
)
def test_it_goes_on_behind_what_the_harness_fails_on_but_not_behind_a_dead_worker(
    tmp_path: Path, how: Exception, raised: type[Exception], next_number: int
) -> None:
    small = settings(duration_s=2.2, liveness_s=0.2)
    with (
        loop.Exploration(small, 1, tmp_path, budget_s=3, strategy="guided", clock=Attempts()) as one,
        pytest.raises(raised),
    ):
        list(one.run(lambda: Fails(how)))
    assert explored(tmp_path, 1)[1][0].number == next_number


def test_a_damaged_journal_is_refused(tmp_path: Path) -> None:
    explored(tmp_path, 1)
    journal = next(tmp_path.glob("explore-*/journal.jsonl"))
    journal.write_bytes(b'{"kind":"attempt"}\n' + journal.read_bytes())
    with pytest.raises(ExplorationError, match=r"journal\.jsonl:1: "):
        explored(tmp_path, 1)


@pytest.mark.slow
def test_a_failure_becomes_a_run_that_its_schedule_and_seed_repeat(tmp_path: Path) -> None:
    _, ended = explored(tmp_path, 40, mutant=ALWAYS_CONVICTED, max_failures=1)
    (failed,) = [one for one in ended if one.violated]
    assert failed.run is not None
    run = RunDir(Path(failed.run))
    info, schedule = run.load_info(), load(run.schedule)
    assert f"--schedule {run.schedule}" in info.repro
    assert schedule.header.seed == failed.seed == info.seed
    assert carry_out(schedule, SMALL.timing, ALWAYS_CONVICTED).violated == failed.violated


def test_of_failures_alike_only_the_first_is_kept(tmp_path: Path) -> None:
    _, ended = explored(tmp_path, 60, mutant=ALWAYS_CONVICTED, max_failures=3)
    failures = [one for one in ended if one.violated]
    assert len(failures) == 3
    assert sum(one.run is not None for one in failures) == len({tuple(one.violated) for one in failures})


def test_the_corpus_keeps_what_is_worth_most() -> None:
    corpus, schedule = Corpus(None, most=2), SMALL.make_schedule(1)
    corpus.add(1, schedule, [5, 6], 100)
    corpus.add(2, schedule, [7], 100)
    corpus.ended(1, 0)
    corpus.ended(1, 0)
    corpus.add(3, schedule, [8, 9, 10], 100)
    assert sorted(corpus.numbers) == [2, 3]
