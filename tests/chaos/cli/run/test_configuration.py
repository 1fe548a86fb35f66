"""The configuration of `run`: where options come from, which one wins, what is refused, and what a run keeps of it."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest
import typer

from builders.commands import Command, only_run
from raft_chaos.chaos.cli.common import parse_seeds
from raft_chaos.chaos.cli.run.configuration import NONE, SHIPPED
from raft_chaos.chaos.cli.run.run import run
from raft_chaos.chaos.schedule.file import load

pytestmark = pytest.mark.usefixtures("empty_folder")

SHORT = "nodes = 3\nclients = 2\nduration = 4.5\nwarmup = 0.7\nliveness = 0.5\n"


def write(text: str, name: str = "raft-chaos.toml") -> None:
    Path(name).write_text(text, encoding="utf-8")


def planned(command: Command, *words: str) -> list[dict[str, object]]:
    """The plans of a dry run."""
    code, stdout, stderr = command("run", "--dry-run", "--json", *words)
    assert (code, stderr) == (0, "")
    document = json.loads(stdout)
    return document if isinstance(document, list) else [document]


# ---- where options come from -------------------------------------------------------------------------------------


def test_a_file_in_the_folder_sets_options(command: Command) -> None:
    write(f'{SHORT}world = "sim"\nseeds = "3..4"\n')
    plans = planned(command)
    assert [(plan["seed"], plan["world"]) for plan in plans] == [(3, "sim"), (4, "sim")]
    header = plans[0]["schedule"][0]  # type: ignore[index]
    assert (len(header["nodes"]), header["safety_until_us"], header["liveness_for_us"]) == (3, 4_500_000, 500_000)


def test_a_section_of_pyproject_sets_options_too_unless_there_is_a_file_of_our_own(command: Command) -> None:
    write('[project]\nname = "mine"\n\n[tool.raft-chaos]\nseed = 7\n', "pyproject.toml")
    assert planned(command)[0]["seed"] == 7
    write("seed = 8\n")
    assert planned(command)[0]["seed"] == 8
    write("seed = 9\n", "other.toml")
    assert planned(command, "--config", "other.toml")[0]["seed"] == 9
    assert planned(command, "--config", "pyproject.toml")[0]["seed"] == 7
    assert planned(command, "--config", NONE, "--seed", "10")[0]["seed"] == 10


@pytest.mark.parametrize("text", ["", "not TOML", '[project]\nname = "mine"\n'])
def test_a_pyproject_that_does_not_speak_of_us_is_none_of_our_business(text: str, command: Command) -> None:
    write(text, "pyproject.toml")
    assert planned(command, "--seed", "1")[0]["seed"] == 1


def test_the_command_line_wins_over_the_file_and_over_what_excludes_it(command: Command) -> None:
    write(f'{SHORT}seeds = "1..9"\nmutant = "old_term_commit"\nworld = "sim"\n')
    (plan,) = planned(command, "--seed", "5", "--nodes", "5", "--mutant", "ack_before_sync")
    assert (plan["seed"], plan["mutant"]) == (5, "ack_before_sync")
    assert len(plan["schedule"][0]["nodes"]) == 5  # type: ignore[index]


def test_faults_and_seeds_may_be_arrays(command: Command) -> None:
    write(f'{SHORT}faults = ["kill", "pause"]\nseeds = [1, "3..4"]\n')
    plans = planned(command)
    assert [plan["seed"] for plan in plans] == [1, 3, 4]
    kinds = {line["action"]["type"] for plan in plans for line in plan["schedule"] if line["kind"] == "fault"}  # type: ignore[attr-defined]
    assert kinds <= {"kill", "pause"}


def test_every_option_has_its_key(command: Command) -> None:
    """A value of the wrong type shows that the key is known: its line names it."""
    app = typer.Typer(add_completion=False)
    app.command()(run)
    options = {param.opts[0].removeprefix("--"): param for param in typer.main.get_command(app).params}
    del options["config"]
    assert len(options) > 25
    for key in options:
        write(f"{key} = 1979-05-27\n")
        code, _, stderr = command("run")
        assert (code, stderr.count("\n")) == (254, 1), key
        assert stderr.startswith(f"raft-chaos: raft-chaos.toml, line 1: {key}: expected ")


@pytest.mark.parametrize("name", SHIPPED)
def test_a_file_that_comes_with_raft_chaos(name: str, command: Command) -> None:
    (plan,) = planned(command, "--config", name, "--seed", "1")
    text = SHIPPED[name].read_text()
    assert text.startswith(f"# raft-chaos run --config {name}: ")
    values = tomllib.loads(text)
    assert len(parse_seeds(values["seeds"])) >= 3
    assert plan["schedule"][0]["safety_until_us"] == 1e6 * values.get("duration", 15)  # type: ignore[index]


def test_the_names_of_the_shipped_files() -> None:
    assert set(SHIPPED) == {"quick", "standard", "soak"}


# ---- what is refused ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("# mine\nfautls = 'kill'\n", "raft-chaos.toml, line 2: there is no 'fautls'; did you mean 'faults'?"),
        ("[zzz]\nseed = 1\n", "raft-chaos.toml, line 1: there is no 'zzz'; its keys are the options of "),
        ("max_failures = 1\n", "raft-chaos.toml, line 1: there is no 'max_failures'; did you mean 'max-failures'?"),
        ("rate = 'fast'\n", "--rate: expected a number, got 'fast' (raft-chaos.toml, line 1)"),
        ("\nrate = 0\n", "--rate: expected more than 0; without client operations a run shows nothing, got 0 (raft-"),
        ("seed = -1\n", "--seed: expected at least 0, got '-1' (raft-chaos.toml, line 1)"),
        ("seed = true\n", "raft-chaos.toml, line 1: seed: expected N, got true"),
        ("tls = 1\n", "raft-chaos.toml, line 1: tls: expected true or false, got 1"),
        ("nodes = [3]\n", "raft-chaos.toml, line 1: nodes: expected N, got [3]"),
        ("mutant = 'xyz'\n", "--mutant: there is no 'xyz'; there are vote_not_persisted, "),
        ("swarm = 1\n", "raft-chaos.toml, line 1: swarm: expected true or false, got 1"),
        ("seed = [\n", "raft-chaos.toml: no valid TOML: "),
        ("[" * 5000, "raft-chaos.toml: no valid TOML: "),
    ],
)  # fmt: skip
def test_a_wrong_key_or_value_is_named_with_its_line(text: str, said: str, command: Command) -> None:
    write(text)
    code, stdout, stderr = command("run", "--dry-run")
    assert (code, stdout, stderr.count("\n")) == (254, "", 1)
    assert stderr.startswith(f"raft-chaos: {said}")


def test_a_mistake_that_another_option_shows_is_placed_too(command: Command) -> None:
    write("swarm = true\n")
    said = "--swarm: it draws faults that only virtual time has; give --world sim or --world lockstep with it"
    assert command("run") == (254, "", f"raft-chaos: {said} (raft-chaos.toml, line 1)\n")


def test_a_key_of_pyproject_is_found_in_its_section(command: Command) -> None:
    write("[tool.mine]\nsead = 1\n\n[tool.raft-chaos]  # ours\n\nsead = 2\n", "pyproject.toml")
    assert command("run")[2].startswith("raft-chaos: pyproject.toml, line 6: there is no 'sead'; did you mean 'seed'?")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("qick", "--config: qick cannot be read (No such file or directory); did you mean 'quick'?"),
        ("x.toml", "--config: x.toml cannot be read (No such file or directory); expected a file, or one of quick, "),
        (".", "--config: . cannot be read (Is a directory); "),
    ],
)  # fmt: skip
def test_a_file_that_is_not_there(name: str, said: str, command: Command) -> None:
    code, _, stderr = command("run", "--config", name)
    assert code == 254 and stderr.startswith(f"raft-chaos: {said}")


def test_a_file_that_is_no_text(command: Command) -> None:
    Path("raft-chaos.toml").write_bytes(b"seed = \xff")
    assert command("run")[2] == "raft-chaos: raft-chaos.toml: expected UTF-8, got 0xff\n"


# ---- what a run says and keeps -----------------------------------------------------------------------------------


def test_the_head_and_the_repeat_command_have_what_came_from_the_file(command: Command, tmp_path: Path) -> None:
    """The command repeats the run wherever it is given, and whatever has become of the file."""
    write(f'{SHORT}world = "sim"\nrate = 20\nswarm = false\nseed = 7\nclients = 3\n'.replace("clients = 2\n", ""))
    code, _, stderr = command("run", "--clients", "2", "--out", "kept")
    head = "options: --clients 2; from raft-chaos.toml: --world sim --nodes 3 --no-swarm --rate 20 "
    assert stderr.startswith(f"{head}--duration 4.5 --warmup 0.7 --liveness 0.5\nseed 7  world sim  3 nodes  ")
    first = only_run(tmp_path / "kept")
    repro = first.load_info().repro
    assert "--rate 20" in repro and repro.endswith(" --config none")
    write("seed = 8\nrate = 70\n")
    again_code, _, again = command(*repro.split()[1:], "--out", "again", "--quiet")
    second = only_run(tmp_path / "again")
    assert (again_code, again) == (code, "")
    assert second.load_info().trace_sha256 == first.load_info().trace_sha256 != ""


def test_the_head_has_only_what_differs_from_the_defaults(command: Command) -> None:
    """What is given at its default is not different from it."""
    write(SHORT)
    words = ["--config", NONE, "--clients", "5", "--nodes", "3", "--duration", "4.5", "--fail-fast"]
    stderr = command("run", "--world", "sim", "--seed", "1", *words)[2]
    assert stderr.startswith("options: --world sim --nodes 3 --duration 4.5 --fail-fast\nseed 1 ")


# ---- dry runs ----------------------------------------------------------------------------------------------------


def test_a_dry_run_shows_the_schedule_and_makes_nothing(command: Command, tmp_path: Path) -> None:
    code, stdout, stderr = command("run", "--dry-run", "--seed", "11", "--world", "sim")
    assert (code, stderr, list(tmp_path.iterdir())) == (0, "", [])
    lines = stdout.splitlines()
    assert lines[0] == "seed 11  world sim  6 nodes  target raft" and lines[1].startswith("  swarm: ")
    assert any(re.match(r"f01 +\d+\.\d{3} s +\w+ ", line) for line in lines)
    assert any(re.match(r"f\d+ .* leader_elected ", line) for line in lines), "faults that wait for an event"


def test_a_dry_run_has_the_lines_of_the_schedule_that_would_run(command: Command, tmp_path: Path) -> None:
    words = ["--seed", "5", "--world", "sim", "--duration", "4.5", "--rate", "20"]
    (plan,) = planned(command, *words)
    command("run", *words, "--quiet")
    run = only_run(tmp_path / "runs")
    saved = [json.loads(line) for line in run.schedule.read_text().splitlines()]
    assert plan["schedule"] == saved and len(load(run.schedule).operations) > 20


def test_verbose_prints_the_schedule_before_the_run(command: Command) -> None:
    stderr = command("run", "-v", "--seed", "5", "--world", "sim", "--duration", "4.5", "--rate", "20")[2]
    before, _, after = stderr.partition("fault  when")
    assert before.count("seed 5  world sim") == 1 and after.count("seed 5  world sim") == 1
