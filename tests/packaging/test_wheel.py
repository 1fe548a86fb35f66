"""What users install: the wheel, in an environment of its own, beside a user's packages of the names that ours had."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from builders.commands import background
from builders.processes import FIRST_PORT, free_ports
from builders.waiting import eventually
from raft_chaos.chaos.campaign.source import source_digest
from raft_chaos.chaos.cli.run.configuration import SHIPPED
from raft_chaos.invariants.verdict import EXIT_UNKNOWN, EXIT_VALID
from users_folder import TEST, imported_from, lay_out

pytestmark = [pytest.mark.slow, pytest.mark.live]

REPOSITORY = Path(__file__).parents[2]
ENVIRONMENT = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}


def run(*command: str | Path, cwd: Path, **more: str) -> str:
    """Its standard output. What both streams said is shown if it fails."""
    done = subprocess.run(command, cwd=cwd, env=ENVIRONMENT | more, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def contents(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as file:
        return {name: file.read(name) for name in file.namelist()}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the repository: a build leaves files behind, and takes in what an earlier one left."""
    folder = tmp_path_factory.mktemp("source") / "raft-chaos"
    ignored = [line.rstrip("/") for line in (REPOSITORY / ".gitignore").read_text().splitlines()]
    shutil.copytree(REPOSITORY, folder, symlinks=True, ignore=shutil.ignore_patterns(".git", *ignored))
    return folder


@pytest.fixture(scope="module")
def wheel(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel that is built from the repository."""
    out = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "build", "--wheel", "--outdir", out, source, cwd=out)
    return next(out.glob("*.whl"))


@pytest.fixture(scope="module")
def programs(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin/ of an environment with the wheel, what it asks for, and pytest."""
    environment = tmp_path_factory.mktemp("user") / "venv"
    run(sys.executable, "-m", "venv", environment, cwd=environment.parent)
    what = ["--constraint", REPOSITORY / "constraints.txt", f"raft-chaos[hypothesis] @ {wheel.as_uri()}", "pytest"]
    run(environment / "bin" / "python", "-m", "pip", "install", "--quiet", *what, cwd=environment.parent)
    return environment / "bin"


@pytest.fixture(scope="module", params=[None, "."], ids=["plain", "PYTHONPATH=."])
def python_path(request: pytest.FixtureRequest) -> dict[str, str]:
    return {} if request.param is None else {"PYTHONPATH": request.param}


@pytest.fixture
def user(tmp_path: Path) -> Iterator[Path]:
    """The user's folder. In the end nothing but their own test has imported their packages."""
    lay_out(tmp_path / "user")
    yield tmp_path / "user"
    assert imported_from(tmp_path / "user") == ""


# ---- what is in it -----------------------------------------------------------------------------------------------


def test_one_name_is_installed_and_nothing_beside_it(wheel: Path) -> None:
    files = contents(wheel)
    (record,) = [text.decode() for name, text in files.items() if name.endswith(".dist-info/RECORD")]
    recorded = [line.split(",")[0] for line in record.splitlines()]
    assert sorted(recorded) == sorted(files)
    tops = {PurePosixPath(name).parts[0] for name in recorded}
    assert {re.sub("-.*", "", top) for top in tops} == {"raft_chaos"} and len(tops) == 2
    assert "raft_chaos/py.typed" in files
    assert {f"raft_chaos/chaos/cli/run/configurations/{name}.toml" for name in SHIPPED} <= set(files)


def test_it_has_every_module_of_the_repository(wheel: Path, source: Path) -> None:
    packages = ("raft", "chaos", "invariants", "reports", "api", "pytest_plugin")
    modules = {f"raft_chaos/{file.relative_to(source)}" for one in packages for file in (source / one).rglob("*.py")}
    assert {name for name in contents(wheel) if name.endswith(".py")} == modules | {"raft_chaos/__init__.py"}


def test_the_source_distribution_makes_the_same_wheel(wheel: Path, source: Path, tmp_path: Path) -> None:
    run(sys.executable, "-m", "build", "--outdir", tmp_path, source, cwd=tmp_path)  # the wheel from the sdist
    (again,) = tmp_path.glob("*.whl")
    assert len(list(tmp_path.glob("*.tar.gz"))) == 1
    assert again.name == wheel.name
    assert contents(again) == contents(wheel)


# ---- what it does ------------------------------------------------------------------------------------------------

TELL = """
import json, raft_chaos
from raft_chaos.chaos.campaign.source import source_digest
print(json.dumps([raft_chaos.__file__, source_digest()]))
"""


def test_it_is_what_is_imported_and_a_campaign_of_the_same_code(
    programs: Path, user: Path, python_path: dict[str, str]
) -> None:
    file, digest = json.loads(run(programs / "python", "-c", TELL, cwd=user, **python_path))
    assert Path(file).is_relative_to(programs.parent)
    assert digest == source_digest()


@pytest.mark.parametrize("how", [["pytest"], ["python", "-m", "pytest"]], ids=" ".join)
def test_a_user_tests_their_own_raft(how: list[str], programs: Path, user: Path, python_path: dict[str, str]) -> None:
    said = run(programs / how[0], *how[1:], "-q", "-p", "no:cacheprovider", TEST, cwd=user, **python_path)
    assert "2 passed" in said


SHORT = ["--duration", "5", "--warmup", "1", "--liveness", "1"]


def document(programs: Path, user: Path, python_path: dict[str, str], *options: str) -> Any:
    """What a run says. Whether enough happens in it is its seed's and the machine's affair."""
    command = [programs / "raft-chaos", "run", *options, *SHORT, "--json"]
    environment = ENVIRONMENT | python_path
    done = subprocess.run(command, cwd=user, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode in (EXIT_VALID, EXIT_UNKNOWN), done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("world", ["live", "sim", "lockstep"])
def test_a_run_comes_to_its_end(world: str, programs: Path, user: Path, python_path: dict[str, str]) -> None:
    assert document(programs, user, python_path, "--seed", "1", "--world", world)["state"] == "finished"


def test_a_campaign_runs_in_several_processes(programs: Path, user: Path, python_path: dict[str, str]) -> None:
    options = ["--seeds", "1..2", "--jobs", "2", "--world", "sim"]
    assert document(programs, user, python_path, *options)["harness_failures"] == []


def test_a_cluster_starts_and_ends_with_ctrl_c(programs: Path, user: Path, python_path: dict[str, str]) -> None:
    http_port = free_ports(3, FIRST_PORT)
    ports = ["--http-port", str(http_port), "--raft-port", str(free_ports(3, http_port + 3))]
    environment = ["env", "--chdir", str(user), "--unset", "PYTHONPATH", *(f"{k}={v}" for k, v in python_path.items())]
    with background(*environment, str(programs / "raft-chaos"), "cluster", *ports) as command:
        eventually("the cluster is up", lambda: "Ctrl-C ends the cluster" in command.stderr)
        command.family()
        assert command.interrupt() == 0
        eventually("every process is gone", command.all_gone)
        assert not list(command.temp.iterdir())
