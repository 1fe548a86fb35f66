"""The kill matrix: hunts end in a conviction or with their budget, go on after a stop, and tell what is needed."""

from __future__ import annotations

from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any

import pytest

from raft_chaos.chaos.matrix import hunt as hunt_module
from raft_chaos.chaos.matrix import matrix as matrix_module
from raft_chaos.chaos.matrix.hunt import Cell, Hunt, hunt, settings_of
from raft_chaos.chaos.matrix.matrix import Job, Matrix, MatrixError, done_in, file_in, jobs_of


class Here(Executor):
    """Runs what is submitted at once, in this process."""

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_result(fn(*args, **kwargs))
        return future


def convicted(cell: Cell, start: int, budget_s: float, stopped: object = None) -> Hunt:
    return Hunt(cell=cell, start=start, seeds=1, spent_s=0.5, seed=start, violated=["recovery"])


def test_a_hunt_names_all_invariants_of_the_convicting_run() -> None:
    found = hunt(Cell(mutant="rollback_committed", world="sim"), 1, 60)
    assert found is not None and found.seed == 1 and found.seeds == 1
    assert {"leader_completeness", "state_machine_safety"} <= set(found.violated)


def test_a_hunt_ends_with_its_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hunt_module, "_violated", lambda settings, seed: [])
    found = hunt(Cell(mutant="old_term_commit", world="sim"), 1, 0)
    assert found is not None
    assert (found.seed, found.seeds, found.violated) == (None, 1, [])


def test_a_kind_is_left_out_of_the_schedules() -> None:
    for world in ("sim", "live"):
        with_it = settings_of(Cell(mutant="old_term_commit", world=world)).schedule.faults
        without = settings_of(Cell(mutant="old_term_commit", world=world, without="pause")).schedule.faults
        assert set(with_it) - set(without) == {"pause"}


def test_the_plain_matrix_comes_before_its_variations() -> None:
    jobs = jobs_of(["a", "b"], ["sim", "live"], ["kill"], 3)
    assert [(job.cell.mutant, job.cell.world, job.cell.without) for job in jobs[:2]] == [
        ("a", "sim", ""),
        ("b", "sim", ""),
    ]
    assert sum(job.cell.world == "live" for job in jobs) == 2
    assert sum(job.cell.without == "kill" for job in jobs) == 4
    assert len({job.start for job in jobs}) == 3


def test_a_matrix_that_was_stopped_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matrix_module, "hunt", convicted)
    file, jobs = file_in(tmp_path), jobs_of(["a", "b"], ["sim", "lockstep"], ["kill"], 2)
    first = Matrix(file, jobs, 1, 60)
    hunts = first.run(Here(), 1, lambda: len(first.done) >= 2)
    assert len(list(hunts)) == 2
    with file.open("ab") as torn:
        torn.write(b'{"cell"')
    second = Matrix(file, jobs, 1, 60)
    assert len(second.done) == 2 and len(second.left) == len(jobs) - 2
    assert len(list(second.run(Here(), 2, lambda: False))) == len(jobs) - 2
    assert len(done_in(file)) == len(jobs) and Matrix(file, jobs, 1, 60).left == []


def test_a_hunt_that_is_stopped_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hunt_module, "_violated", lambda settings, seed: [])
    assert hunt(Cell(mutant="old_term_commit", world="live"), 1, 60, lambda: True) is None


def test_a_hunt_that_gave_up_sooner_is_done_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def gave_up(cell: Cell, start: int, budget_s: float, stopped: object) -> Hunt:
        return Hunt(cell=cell, start=start, seeds=9, spent_s=budget_s)

    monkeypatch.setattr(matrix_module, "hunt", gave_up)
    file, jobs = file_in(tmp_path), jobs_of(["a"], ["lockstep"], [], 1)
    list(Matrix(file, jobs, 5, 60).run(Here(), 1, lambda: False))
    assert Matrix(file, jobs, 5, 60).left == [] and Matrix(file, jobs, 4, 60).left == []
    longer = Matrix(file, jobs, 60, 60)
    assert longer.left == jobs and longer.done == []


def test_a_matrix_under_way_elsewhere_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matrix_module, "hunt", convicted)
    file, jobs = file_in(tmp_path), jobs_of(["a", "b"], ["lockstep"], [], 1)
    first = Matrix(file, jobs, 1, 60).run(Here(), 1, lambda: False)
    next(first)
    with pytest.raises(MatrixError, match="under way in another process"):
        next(Matrix(file, jobs, 1, 60).run(Here(), 1, lambda: False))


def test_no_hunt_begins_after_the_time_limit(tmp_path: Path) -> None:
    whole = Matrix(file_in(tmp_path), [Job(Cell(mutant="a", world="sim"), 1)], 1, 0)
    assert list(whole.run(Here(), 1, lambda: False)) == []


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    file_in(tmp_path).write_bytes(b"no matrix\n")
    with pytest.raises(MatrixError, match="remove it to begin again"):
        Matrix(file_in(tmp_path), [], 1, 1)
