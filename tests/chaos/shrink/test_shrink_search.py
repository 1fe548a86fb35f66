"""The search for a smaller candidate: minimal, the same for any number of processes, and no process is left."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import combinations
from pathlib import Path

import psutil
import pytest
from toy_oracles import Items, chained, dies, erratic, hangs, needs, raises, unevenly_slow

from builders.processes import lives
from builders.waiting import eventually
from raft_chaos.chaos.shrink.search import BudgetEndedError, Search, WorkerDiedError, reduce

Attempt = Callable[[Items], Items | None]
FOR_EVER_S = 1e6


def search(attempt: Attempt, items: Items = (), jobs: int = 1, budget_s: float = FOR_EVER_S) -> Search[Items, Items]:
    """A search that starts its processes at once."""
    return Search(items, attempt, budget_s, jobs, alone_s=0.0)


def without(items: Items, first: int, end: int) -> Items:
    return items[:first] + items[end:]


def reduced(attempt: Attempt, items: Items, jobs: int = 1) -> Search[Items, Items]:
    with search(attempt, items, jobs) as one:
        reduce(one, len, without)
    return one


# ---- minimal -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [0, 1, 2, 3, 7, 8, 9, 16, 33])
def test_only_needed_items_are_left(count: int) -> None:
    everything = tuple(range(count))
    for many in (0, 1, 2):
        for wanted in combinations(everything, many):
            assert reduced(partial(needs, frozenset(wanted)), everything).state == wanted


def test_no_single_item_can_be_removed_with_any_oracle() -> None:
    sizes = []
    for seed in range(200):
        oracle, everything = partial(erratic, seed), tuple(range(seed % 13))
        if oracle(everything) is None:
            continue
        left = reduced(oracle, everything).state
        assert oracle(left) is not None
        assert not [place for place in range(len(left)) if oracle(without(left, place, place + 1))]
        sizes.append(len(everything) - len(left))
    assert len(sizes) > 30 and sum(sizes) > 100


def test_items_removed_by_a_success_are_not_tried_again() -> None:
    everything = tuple(range(1, 64))
    one = reduced(partial(chained, frozenset({37})), everything)
    assert one.state == (1, 2, 4, 9, 18, 37)
    assert one.replays < reduced(partial(needs, frozenset(one.state)), everything).replays


def test_many_items_are_removed_in_few_replays() -> None:
    assert reduced(partial(needs, frozenset({700})), tuple(range(1000))).replays < 30


# ---- the same with any number of processes -----------------------------------------------------------------------


def search_with_progress(jobs: int) -> tuple[Items, int, list[tuple[int, Items]]]:
    """The result, the number of replays, and the progress."""
    progress: list[tuple[int, Items]] = []
    one: Search[Items, Items] = Search(
        tuple(range(40)),
        partial(unevenly_slow, frozenset({3, 4, 31})),
        FOR_EVER_S,
        jobs,
        lambda now: progress.append((now.replays, now.state)),
        alone_s=0.0,
    )
    with one:
        reduce(one, len, without)
        assert one.all([(3, 4, 31), (3, 4), (31, 3, 4)]) == [True, False, True]
        assert one.all([(3,), (4,), (3, 4, 31)], may_hold=1) == [False, False], "the third decides nothing any more"
        assert one.first([(3,), (1, 3, 4, 31), (3, 4, 31)]) == 1, "the earliest counts, not the smallest"
        assert one.first([(3,), (4,)]) is None and one.first([]) is None
    return one.state, one.replays, progress


def test_the_result_and_the_progress_are_the_same_with_one_and_with_two_processes() -> None:
    alone = search_with_progress(1)
    assert alone == search_with_progress(2)
    assert alone[0] == (1, 3, 4, 31)


def test_any_executor_gives_the_same_result() -> None:
    oracle, everything = partial(unevenly_slow, frozenset({3, 4, 31})), tuple(range(40))
    opened: list[ThreadPoolExecutor] = []

    def threads() -> ThreadPoolExecutor:
        opened.append(ThreadPoolExecutor(3))
        return opened[-1]

    with Search(everything, oracle, FOR_EVER_S, 3, open=threads, alone_s=0.0) as elsewhere:
        reduce(elsewhere, len, without)
    here = reduced(oracle, everything)
    assert (elsewhere.state, elsewhere.replays) == (here.state, here.replays)
    assert len(opened) == 1
    with pytest.raises(RuntimeError, match="shutdown"):
        opened[0].submit(int)


def test_what_did_not_fail_is_tried_again_only_harder() -> None:
    tried: list[Items] = []

    def oracle(items: Items) -> Items | None:
        tried.append(items)
        return items if 9 in items else None

    one: Search[Items, Items] = Search((), oracle, FOR_EVER_S, 1, identity=lambda items: (bytes(items[:1]), items[1]))
    assert one.first([(1, 4), (1, 4), (1, 3), (2, 3)]) is None
    assert one.first([(1, 4), (1, 5), (2, 9), (2, 3)]) == 2
    assert tried == [(1, 4), (2, 3), (1, 5), (2, 9)]
    assert one.replays == 4


def test_processes_are_started_only_for_a_search_that_takes_long() -> None:
    before = psutil.Process().children()
    with Search(tuple(range(9)), partial(needs, frozenset({1})), FOR_EVER_S, 2, alone_s=FOR_EVER_S) as one:
        reduce(one, len, without)
        assert psutil.Process().children() == before
    assert one.state == (1,)


# ---- its budget --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("jobs", [1, 2])
def test_without_a_budget_nothing_is_tried(jobs: int) -> None:
    one = search(raises, (1, 2), jobs, budget_s=0.0)
    with one, pytest.raises(BudgetEndedError):
        reduce(one, len, without)
    assert (one.state, one.replays) == ((1, 2), 0)


def test_the_best_anchor_at_the_end_of_the_budget_is_kept() -> None:
    whole = reduced(partial(needs, frozenset({5})), tuple(range(50)))

    def ends(now: Search[Items, Items]) -> None:
        if now.replays == 4:
            now.budget_s = 0.0

    one = Search(tuple(range(50)), partial(needs, frozenset({5})), FOR_EVER_S, 1, ends)
    with one, pytest.raises(BudgetEndedError):
        reduce(one, len, without)
    assert one.replays == 4 < whole.replays
    assert 5 in one.state and 1 < len(one.state) < 50


def test_a_budget_that_ends_does_not_wait_for_busy_workers(tmp_path: Path) -> None:
    one = search(partial(hangs, tmp_path / "pid"), (1,), jobs=2)

    def candidates() -> Iterator[Items]:
        yield (2,)
        eventually("the process is at work", (tmp_path / "pid").exists)
        one.budget_s = 0.0

    with one, pytest.raises(BudgetEndedError):
        one.first(candidates())
    assert one.state == (1,)
    assert is_gone(tmp_path / "pid")


# ---- ends that nobody planned ------------------------------------------------------------------------------------


def spins(items: Items) -> Items:
    """Never ends, and catches every error, as a simulated cluster does for the errors of its nodes."""
    while True:
        try:
            while True:
                pass
        except Exception:
            continue


def test_a_budget_ends_an_attempt_in_this_process_too() -> None:
    with search(spins, budget_s=0.05) as alone, pytest.raises(BudgetEndedError):
        alone.first([()])
    assert not alone.replays


def is_gone(pid_file: Path) -> bool:
    pid = int(pid_file.read_text())
    return not psutil.pid_exists(pid) or not lives(psutil.Process(pid))


def test_ctrl_c_leaves_no_process_behind(tmp_path: Path) -> None:
    before = psutil.Process().children()
    one = search(partial(hangs, tmp_path / "pid"), (1,), jobs=2)

    def candidates() -> Iterator[Items]:
        yield (2,)
        eventually("the process is at work", (tmp_path / "pid").exists)
        os.kill(os.getpid(), signal.SIGINT)
        yield (3,)

    with pytest.raises(KeyboardInterrupt), one:
        one.first(candidates())
    assert is_gone(tmp_path / "pid")
    assert [child for child in psutil.Process().children() if lives(child)] == before


def test_a_worker_that_dies_is_an_error() -> None:
    with pytest.raises(WorkerDiedError, match="a worker process died or was killed"), search(dies, (1,), 2) as one:
        one.first([(2,), (3,), (4,)])
    with pytest.raises(WorkerDiedError), search(dies, (1,), 2) as one:
        one.all([(2,)])


@pytest.mark.parametrize("jobs", [1, 2])
def test_an_error_of_an_oracle_is_raised(jobs: int) -> None:
    with pytest.raises(LookupError, match="3 items"), search(raises, (1,), jobs) as one:
        one.first([(1, 2, 3)])
