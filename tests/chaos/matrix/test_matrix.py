"""The kill matrix: its hunts, how it goes on after a stop, and how long it takes."""

from __future__ import annotations

from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any

import msgspec
import pytest

from raft_chaos.chaos.matrix import hunt as hunt_module
from raft_chaos.chaos.matrix.cells import Hunt, Job
from raft_chaos.chaos.matrix.estimate import estimate
from raft_chaos.chaos.matrix.matrix import Matrix, MatrixError, Order, done_in, file_in
from raft_chaos.chaos.matrix.plan import LEAST_SEEDS, STARTS_APART, left_out_jobs, plain_jobs


class Here(Executor):
    """Runs what is submitted at once, in this process."""

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_result(fn(*args, **kwargs))
        return future


def convicted(job: Job, budget_s: float, stopped: object = None) -> Hunt:
    seed = job.first or job.start + 1
    return Hunt(
        cell=job.cell, start=job.start, seeds=2, spent_s=0.5, seed=seed, violated=["recovery"], parts=["kill", "churn"]
    )


def gave_up(job: Job, budget_s: float, stopped: object = None) -> Hunt:
    return Hunt(cell=job.cell, start=job.start, seeds=9, spent_s=budget_s)


def order(**changes: Any) -> Order:
    usual = Order(mutants=["a", "b"], worlds=["sim", "lockstep"], without=["kill", "pause"], hunts=2, budget_s=1)
    return msgspec.structs.replace(usual, **changes)


def run(matrix: Matrix, time_limit_s: float = 60) -> list[Hunt]:
    return list(matrix.run(Here(), 1, time_limit_s, lambda: False))


def test_each_mutant_has_several_hunts_in_sim_and_one_elsewhere() -> None:
    jobs = plain_jobs(["a", "b"], ["live", "sim"], 3)
    assert [(job.cell.mutant, job.cell.world) for job in jobs] == [("a", "sim"), ("b", "sim")] * 3 + [
        ("a", "live"),
        ("b", "live"),
    ]
    assert [job.start for job in jobs[::2]] == [1, 1 + STARTS_APART, 1 + 2 * STARTS_APART, 1]
    assert [job.cell.world for job in plain_jobs(["a"], ["lockstep"], 3)] == ["lockstep"]


def test_only_parts_of_convicting_schedules_are_left_out_in_a_third_of_the_hunts() -> None:
    plain = plain_jobs(["a"], ["sim"], 4)
    jobs = left_out_jobs([convicted(job, 1) for job in plain], ["kill", "pause", "churn"], 4)
    assert [(job.cell.without, job.start, job.first) for job in jobs] == [
        (part, start, start + 1) for start in (1, 1 + STARTS_APART) for part in ("kill", "churn")
    ]
    assert {job.most for job in jobs} == {LEAST_SEEDS}
    assert left_out_jobs([gave_up(job, 1) for job in plain], ["kill"], 4) == []


def test_a_part_that_most_convicting_schedules_lack_is_not_left_out() -> None:
    plain = [convicted(job, 1) for job in plain_jobs(["a"], ["sim"], 4)]
    half = [msgspec.structs.replace(one, parts=["kill"]) if number % 2 else one for number, one in enumerate(plain)]
    assert {job.cell.without for job in left_out_jobs(plain, ["kill", "churn"], 4)} == {"kill", "churn"}
    assert {job.cell.without for job in left_out_jobs(half, ["kill", "churn"], 4)} == {"kill"}


def test_a_hard_mutant_gets_more_seeds_without_a_part() -> None:
    hard = [msgspec.structs.replace(convicted(job, 1), seeds=30) for job in plain_jobs(["a"], ["sim"], 1)]
    assert [job.most for job in left_out_jobs(hard, ["kill"], 1)] == [300]


def test_it_gets_many_times_the_seeds_of_the_hunts_that_it_is_compared_with() -> None:
    plain = [convicted(job, 1) for job in plain_jobs(["a"], ["sim"], 3)]
    plain[0] = msgspec.structs.replace(plain[0], seeds=80)
    assert [job.most for job in left_out_jobs(plain, ["kill"], 3)] == [800]


def test_a_matrix_that_was_stopped_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hunt_module, "hunt", convicted)
    with Matrix(tmp_path, order()) as first:
        ended: list[Hunt] = []
        ended += first.run(Here(), 1, 60, lambda: len(ended) >= 2)
        ended += [one for one, _ in zip(first.run(Here(), 1, 60, lambda: False), range(2), strict=False)]
    assert len(ended) >= 2
    with file_in(tmp_path).open("ab") as torn:
        torn.write(b'{"cell"')
    with Matrix(tmp_path, order()) as second:
        known = len(second.done)
        assert known and second.left
        run(second)
        assert second.left == [] and len(second.done) == 4 + 2 + 2
        assert {one.cell.without for one in second.done} == {"", "kill"}
    assert len(done_in(file_in(tmp_path))) == 8
    with Matrix(tmp_path, order()) as third:
        assert third.left == []


def test_a_hunt_that_gave_up_sooner_is_done_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hunt_module, "hunt", gave_up)
    with Matrix(tmp_path, order(budget_s=5)) as matrix:
        run(matrix)
        assert matrix.left == []
    with Matrix(tmp_path, order(budget_s=4)) as shorter:
        assert shorter.left == []
    with Matrix(tmp_path, order(budget_s=60)) as longer:
        assert len(longer.left) == 6 and longer.done == []
        run(longer)
        assert [one.spent_s for one in longer.done] == [60] * 6


def test_a_matrix_under_way_elsewhere_is_refused(tmp_path: Path) -> None:
    with Matrix(tmp_path, order()), pytest.raises(MatrixError, match="this matrix is under way in another process"):
        Matrix(tmp_path, order())


def test_no_hunt_begins_after_the_time_limit(tmp_path: Path) -> None:
    with Matrix(tmp_path, order()) as matrix:
        assert run(matrix, 0) == []


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    file_in(tmp_path).write_bytes(b"no matrix\n")
    with pytest.raises(MatrixError, match="remove the file to begin anew"):
        Matrix(tmp_path, order())
    with pytest.raises(MatrixError, match="expected a file of `raft-chaos matrix`"):
        done_in(file_in(tmp_path))
    with pytest.raises(MatrixError, match="No such file"):
        done_in(tmp_path / "absent")


def test_the_time_it_takes_is_estimated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Matrix(tmp_path, order(budget_s=36)) as matrix:
        before = {group.name: group for group in estimate(matrix, 2)}
        assert [group.left for group in before.values()] == [4, 2, 4], "left out: two parts in half of the hunts"
        assert before["sim"].at_most_h == 4 * 36 / 2 / 3600 and before["lockstep"].at_most_h == 2 * 36 / 3600
        monkeypatch.setattr(hunt_module, "hunt", convicted)
        run(matrix)
        assert {group.name: (group.hunts, group.left, group.at_most_h) for group in estimate(matrix, 2)} == {
            "sim": (4, 0, 0),
            "lockstep": (2, 0, 0),
            "left out": (2, 0, 0),
        }
