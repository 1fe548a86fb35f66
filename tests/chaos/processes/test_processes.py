"""The supervisor with real processes: signals reach whole groups, and nothing outlives the controller."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from children import exits, has_a_stubborn_child, leaves_a_child_behind, sleeps

from builders.commands import background
from builders.processes import lives
from builders.waiting import eventually
from raft_chaos.chaos.processes.supervisor import Supervisor

pytestmark = pytest.mark.live


@pytest.fixture
def supervisor() -> Iterator[Supervisor]:
    with Supervisor() as one:
        yield one


def test_a_child_runs_in_a_session_of_its_own_until_it_is_killed(supervisor: Supervisor) -> None:
    child = supervisor.start("n1", sleeps)
    assert child.is_alive
    assert child.info.is_running()
    child.kill()
    assert child.exit_code == -signal.SIGKILL
    assert not lives(child.info)


def test_a_kill_ends_the_whole_process_group(supervisor: Supervisor) -> None:
    ours, theirs = supervisor.pipe()
    child = supervisor.start("n1", has_a_stubborn_child, theirs)
    grandchild = psutil.Process(ours.recv())
    assert lives(grandchild)
    child.kill()
    assert not lives(grandchild)


def test_terminate_kills_a_child_that_ignores_sigterm(supervisor: Supervisor) -> None:
    ours, theirs = supervisor.pipe()
    child = supervisor.start("n1", has_a_stubborn_child, theirs)
    grandchild = psutil.Process(ours.recv())
    child.terminate(patience_s=5.0)
    assert child.exit_code == -signal.SIGTERM
    assert not lives(grandchild)


def test_a_kill_ends_the_group_of_a_child_that_has_exited(supervisor: Supervisor) -> None:
    ours, theirs = supervisor.pipe()
    child = supervisor.start("n1", leaves_a_child_behind, theirs)
    left_behind = psutil.Process(ours.recv())
    eventually("the leader of the group ends", lambda: not child.is_alive)
    assert child.exit_code == 0 and lives(left_behind)
    child.kill()
    assert not lives(left_behind)


def test_a_paused_child_is_stopped_until_it_is_resumed(supervisor: Supervisor) -> None:
    child = supervisor.start("n1", sleeps)
    child.pause()
    assert child.info.status() == psutil.STATUS_STOPPED
    child.resume()
    eventually("the child goes on", lambda: child.info.status() != psutil.STATUS_STOPPED)
    assert child.is_alive


def test_a_paused_child_can_be_killed(supervisor: Supervisor) -> None:
    child = supervisor.start("n1", sleeps)
    child.pause()
    child.kill()
    assert child.exit_code == -signal.SIGKILL


def test_an_exited_child_has_an_exit_code_and_its_output(supervisor: Supervisor, tmp_path: Path) -> None:
    child = supervisor.start("n1", exits, 78, stderr=tmp_path / "said")
    assert eventually("the child ends", lambda: child.exit_code) == 78
    assert (tmp_path / "said").read_text() == "last words\n"
    child.strike()  # nobody is there: no error
    child.kill()


def test_closing_ends_every_child(supervisor: Supervisor) -> None:
    children = [supervisor.start(f"n{number}", sleeps) for number in range(3)]
    children[1].pause()
    supervisor.close()
    assert [child.exit_code for child in children] == [-signal.SIGKILL] * 3


@pytest.mark.parametrize("how", ["killed", "raises"])
def test_a_controller_that_fails_leaves_no_process_and_no_folder(how: str, tmp_path: Path) -> None:
    script = Path(__file__).with_name("doomed_controller.py")
    with background(sys.executable, str(script), str(tmp_path), how) as controller:
        eventually("all children run", (tmp_path / "pids").exists)
        family = controller.family()
        pids = json.loads((tmp_path / "pids").read_text())
        assert set(pids) < {process.pid for process in family}
        assert list(controller.temp.glob("pymp-*")) and (tmp_path / "orphaned").exists()
        if how == "killed":
            controller.sigkill()
        else:
            (tmp_path / "go").touch()
            assert controller.process.wait(30) == 1
            assert controller.stderr.endswith("RuntimeError: the controller failed\n")
        eventually("every process is gone", controller.all_gone)
        assert not list(controller.temp.iterdir())
        # Only the reaper may remove a folder of which the controller said that it would do so itself.
        assert (tmp_path / "orphaned").exists() == (how == "raises")
