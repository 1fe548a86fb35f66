"""No process of the harness imports a user's file in place of an installed module; users' commands are unaffected."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import threading
from pathlib import Path

import pytest
from shadowing import imported_from, shadow_the_standard_library

from builders.commands import raft_chaos
from builders.schedules import saved, schedule
from raft_chaos.chaos.faults.process import Kill
from raft_chaos.chaos.processes.safe_path import OURS, VARIABLE, installed_first, safe_imports, safe_interpreters
from raft_chaos.chaos.processes.worker_pool import WorkerPool
from raft_chaos.chaos.schedule.data import Fault, When
from raft_chaos.invariants.verdict import EXIT_UNKNOWN, EXIT_VALID

LIBRARY, PACKAGES = sysconfig.get_path("stdlib"), sysconfig.get_path("purelib")


# ---- sys.path ----------------------------------------------------------------------------------------------------


def test_user_folders_come_last_and_the_current_folder_is_removed() -> None:
    compiled = f"{LIBRARY}/lib-dynload"
    path = ["/home/user/tests", "", LIBRARY, "/home/user/lib", compiled, PACKAGES, f"{LIBRARY}-of-a-user"]
    assert installed_first(path) == [
        *(LIBRARY, compiled, PACKAGES),
        *("/home/user/tests", "/home/user/lib", f"{LIBRARY}-of-a-user"),
    ]


def test_the_default_path_of_an_interpreter_is_unchanged() -> None:
    command = [sys.executable, "-I", "-S", "-c", "import json, sys; print(json.dumps(sys.path))"]
    path = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert installed_first(["/home/user/tests", *path]) == [*path, "/home/user/tests"]


def test_a_folder_is_recognised_under_any_name(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(LIBRARY)
    path = ["/home/user/tests", str(tmp_path / "link")]
    assert installed_first(path) == path[::-1]


# ---- while processes are started ---------------------------------------------------------------------------------


@pytest.mark.parametrize("before", [None, ""])
def test_sys_path_and_environment_are_restored(before: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", {} if before is None else {VARIABLE: before})
    path = ["", "/home/user/tests", LIBRARY]
    monkeypatch.setattr(sys, "path", path)
    with safe_interpreters():
        assert (os.environ[VARIABLE], sys.path) == (OURS, [LIBRARY, "/home/user/tests"])
    assert os.environ.get(VARIABLE) == before
    assert sys.path is path and path == ["", "/home/user/tests", LIBRARY]


def test_a_variable_that_the_user_has_set_is_unchanged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "1")
    with safe_interpreters():
        assert os.environ[VARIABLE] == "1"
    assert os.environ[VARIABLE] == "1"
    with WorkerPool(1) as pool:
        assert pool.submit(os.getenv, VARIABLE).result() == "1"


def test_starts_in_many_threads_do_not_interfere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    path = ["/home/user/tests", LIBRARY]
    monkeypatch.setattr(sys, "path", path)
    seen: list[tuple[str | None, list[str]]] = []

    def start_often() -> None:
        for _ in range(100):
            with safe_interpreters(), safe_imports():
                seen.append((os.environ.get(VARIABLE), sys.path))

    threads = [threading.Thread(target=start_often) for _ in range(8)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)  # so that they are interrupted in the middle of it
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert seen == [(OURS, [LIBRARY, "/home/user/tests"])] * 800
    assert sys.path is path and VARIABLE not in os.environ


# ---- what users see ----------------------------------------------------------------------------------------------

COMMAND = """
import os, sys
from pathlib import Path
from raft_chaos.chaos.processes.supervisor import Supervisor
from raft_chaos.chaos.processes.execute import execute

said = Path(sys.argv[1])
with Supervisor() as supervisor:
    supervisor.start("n1", execute, ["env", "-0"], {}, 256, stderr=said).wait(30)
seen = dict(line.split("=", 1) for line in said.read_text().split("\\0") if line)
assert seen == dict(os.environ), seen.items() ^ os.environ.items()
"""


@pytest.mark.live
def test_the_command_of_a_target_has_the_environment_of_the_user(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", COMMAND, tmp_path / "said"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_worker_has_the_environment_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    with WorkerPool(1) as pool:
        assert pool.submit(os.getenv, VARIABLE).result() is None


PLAN = schedule([Fault(id="f1", when=When(at_us=700_000), action=Kill(["leader"], [500_000]), duration_us=0)])
OPTIONS = {
    "live": ["--world", "live"],
    "lockstep": ["--world", "lockstep"],
    "campaign": [
        "--world",
        "sim",
        "--jobs",
        "2",
        "--seeds",
        "1..2",
        "--duration",
        "5",
        "--warmup",
        "1",
        "--liveness",
        "1",
    ],
}
ENDED = (EXIT_VALID, EXIT_UNKNOWN)
"""The seed decides whether a campaign's runs are vacuous. A process that cannot start gives another exit code."""


def words(kind: str, folder: Path) -> list[str]:
    """The arguments of a short run of that kind."""
    plan = [] if kind == "campaign" else ["--schedule", saved(folder, PLAN)]
    return ["run", *OPTIONS[kind], *plan, "--out", str(folder / "out"), "--json"]


@pytest.mark.slow
@pytest.mark.live
@pytest.mark.parametrize("kind", OPTIONS)
def test_files_in_the_current_folder_are_not_imported(kind: str, tmp_path: Path) -> None:
    user = tmp_path / "user"
    user.mkdir()
    shadow_the_standard_library(user)
    done = raft_chaos(*words(kind, tmp_path), cwd=user)
    assert imported_from(user) == ""
    assert done.returncode in ENDED, done.stderr


USERS_TEST = """
import sys
import pytest
from raft_chaos.chaos.cli.app import main
from raft_chaos.chaos.processes.supervisor import Supervisor

RUNS = {runs!r}

def writes(file):
    file.write_text("from a module that the user wrote")

@pytest.mark.parametrize("words", RUNS)
def test_run(words, monkeypatch):
    assert sys.path[0] == {folder!r}
    monkeypatch.setattr(sys, "argv", ["raft-chaos", *words])
    assert main() in {ended!r}

def test_own_module(tmp_path):
    with Supervisor() as supervisor:
        supervisor.start("n1", writes, tmp_path / "file").wait(30)
    assert (tmp_path / "file").exists()
"""


@pytest.mark.slow
@pytest.mark.live
def test_files_beside_the_tests_of_a_user_are_not_imported(tmp_path: Path) -> None:
    user = tmp_path / "user" / "tests"
    user.mkdir(parents=True)
    shadow_the_standard_library(user)
    runs = []
    for kind in OPTIONS:
        (tmp_path / kind).mkdir()
        runs.append(words(kind, tmp_path / kind))
    (user / "test_users.py").write_text(USERS_TEST.format(runs=runs, folder=str(user), ended=ENDED))
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"]
    done = subprocess.run(command, cwd=user.parent, capture_output=True, text=True, timeout=120)
    assert imported_from(user) == ""
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 passed" in done.stdout
