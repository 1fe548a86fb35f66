"""Seeds on an executor of the caller: the results of this process, a file that goes on; and it stays open."""

from __future__ import annotations

from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest

from raft_chaos.api import HarnessError, OptionError, run_seeds
from raft_chaos.chaos.campaign.code import code

SMALL: dict[str, Any] = {"world": "sim", "nodes": 3, "duration": 4, "rate": 20}


def test_an_executor_gives_the_results_of_this_process(tmp_path: Path) -> None:
    seeds = [3, 1, 2]
    here = run_seeds(seeds, out=tmp_path / "here", mutant="vote_not_persisted", **SMALL)
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as executor:
        there = run_seeds(seeds, out=tmp_path / "there", mutant="vote_not_persisted", executor=executor, **SMALL)
        assert executor.submit(max, 1, 2).result() == 2, "it stays open"
    assert [(one.seed, one.verdict, one.violated) for one in there] == [
        (one.seed, one.verdict, one.violated) for one in here
    ]
    assert [one.run is not None for one in there] == [one.run is not None for one in here]
    assert any(one.run is not None for one in there)


def test_a_call_goes_on_where_an_earlier_one_ended(tmp_path: Path) -> None:
    with ThreadPoolExecutor(1) as executor:
        first = run_seeds(
            [1, 2, 3], out=tmp_path, mutant="vote_not_persisted", max_failures=1, executor=executor, **SMALL
        )
        assert len(list(first)) < 3
        kept = {one.seed for one in first}
        again = run_seeds([1, 2, 3], out=tmp_path, mutant="vote_not_persisted", executor=executor, **SMALL)
    assert kept < {one.seed for one in again} == {1, 2, 3}
    (file,) = tmp_path.glob("campaign-*.jsonl")
    assert file.read_text().count('"kind":"seed"') == 3, "no seed ran twice"


def test_other_worlds_do_not_take_one(tmp_path: Path) -> None:
    with ThreadPoolExecutor(1) as executor, pytest.raises(OptionError, match="in sim only"):
        run_seeds([1], out=tmp_path, executor=executor, world="live")


class _Elsewhere(Executor):
    """Its workers have other code."""

    def submit(self, fn: Any, expected: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        done: Future[Any] = Future()
        try:
            done.set_result(fn(code()._replace(source="another"), *args, **kwargs))
        except Exception as error:
            done.set_exception(error)
        return done


def test_workers_with_other_code_are_refused(tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match="a worker cannot run this campaign"):
        run_seeds([1], out=tmp_path, executor=_Elsewhere(), **SMALL)
