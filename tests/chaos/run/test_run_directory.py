"""Run directories: two runs never get the same one, and run.json can be written on a full disk."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from raft_chaos.chaos.processes.shortage import SetupError
from raft_chaos.chaos.run.settings import new_run_dir
from raft_chaos.invariants.rundir import RunDir, RunInfo


def test_runs_of_one_seed_at_the_same_time_get_different_directories(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        runs = list(pool.map(lambda _: new_run_dir(tmp_path / "out", 5).path, range(40)))
    assert len(set(runs)) == 40 and set(runs) == set((tmp_path / "out").iterdir())


def test_a_folder_that_may_not_be_written_to_is_the_users_to_mend() -> None:
    """In /proc not even root can make a directory."""
    with pytest.raises(SetupError, match="--out: cannot make a run directory in /proc "):
        new_run_dir(Path("/proc"), 5)


def test_run_json_takes_the_reserve_on_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = RunDir(tmp_path)
    run.make_reserve()
    run.save_info(RunInfo(seed=1))
    assert run.reserve.exists()
    write = Path.write_bytes

    def on_a_full_disk(file: Path, data: bytes) -> int:
        if run.reserve.exists():
            raise OSError(28, "No space left on device")
        return write(file, data)

    monkeypatch.setattr(Path, "write_bytes", on_a_full_disk)
    run.save_info(RunInfo(seed=1, vacuous=["the run was cut short: No space left on device"]))
    assert run.load_info().vacuous and not run.reserve.exists()
