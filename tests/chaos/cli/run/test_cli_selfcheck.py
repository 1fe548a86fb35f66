"""`raft-chaos selfcheck`: output, exit codes, bad arguments, Ctrl-C, and a killed controller."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from builders.commands import RAFT_CHAOS, Background, Command, background
from builders.waiting import eventually
from raft_chaos.chaos.run.settings import program
from raft_chaos.invariants.rundir import RunDir

pytestmark = pytest.mark.live

SMALL = ["--nodes", "3", "--warmup", "0.2", "--duration", "1.6", "--liveness", "0.1", "--election-timeout", "30-60"]
MANY = "1..1000000"
"""No test waits for so many seeds."""

# ---- what is said --------------------------------------------------------------------------------------------------


def test_equal_seeds_print_what_happened_in_them(command: Command, tmp_path: Path) -> None:
    code, stdout, stderr = command("selfcheck", "--seeds", "6,7", *SMALL, "--jobs", "1", "--out", str(tmp_path / "out"))
    assert code == 0
    first, *progress = stderr.splitlines()
    assert first == "seeds 6,7: each twice in sim; 1 at once, in 2 processes"
    assert all(re.match("[12]/2", line) for line in progress), "a slow machine says how far it is"
    lines = stdout.splitlines()
    assert lines[0].split() == ["in", "these", "runs", "sum"]
    for words in ("leaders elected", "restarts", "of these, torn writes", "frames duplicated"):
        (sum_of,) = [int(line.split()[-1]) for line in lines if line.startswith(words)]
        assert sum_of > 0, words
    assert lines[-1] == "seeds 6,7: 2 of 2 equal"
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_difference_prints_what_led_to_it_and_the_next_commands(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    options = [*SMALL, "--lockstep", "--peer-auth", "--mutant", "sync_skipped"]
    code, stdout, stderr = command("selfcheck", "--seeds", "2", "--quiet", *options)
    assert (code, stderr) == (1, "")
    (records,) = (tmp_path / "runs").iterdir()
    lines = stdout.splitlines()
    told = lines[lines.index("seed 2: different") :]
    runs = [f"runs/{records.name}/2-sim-1", f"runs/{records.name}/2-lockstep-3"]
    digests = {run.rpartition("/2-")[2]: RunDir(Path(run)).load_info().trace_sha256 for run in runs}
    repros = [RunDir(Path(run)).load_info().repro for run in runs]
    assert ["--peer-auth" in repro for repro in repros] == [False, True], "there is no handshake in sim"
    assert told[1] == f"  sim-1: {digests['sim-1']}" and told[3] == f"  lockstep-3: {digests['lockstep-3']}"
    assert re.fullmatch(r"  \d+ events equal, then the runs differ\.", told[4])
    assert any(line.startswith("  * ") for line in told) and "  They differ in:" in told
    diff = shlex.join([program(), "diff", *runs])
    assert f"  {diff}" in told
    assert told[-5:-2] == ["", "seeds 2: 0 of 1 equal", "different: 2"]
    assert told[-2] == "Reproduce:"
    words = shlex.split(told[-1])
    assert words[:4] == [program(), "selfcheck", "--seeds", "2"] and sorted(words[4:]) == sorted(options)

    code, stdout, _ = command(*shlex.split(diff)[1:])
    assert code == 1 and stdout.splitlines()[0] == told[4].strip()


def test_stdout_has_only_the_document(command: Command, tmp_path: Path) -> None:
    options = [*SMALL, "--mutant", "global_random", "--json", "--out", str(tmp_path), "--jobs", "1"]
    code, stdout, stderr = command("selfcheck", "--seeds", "1..2", *options)
    document = json.loads(stdout)
    assert code == 1
    said = [line for line in stderr.splitlines()[1:] if not re.fullmatch(r"\d/2", line)]  # progress, on a slow machine
    assert said == ["seed 1: different", "seed 2: different", document["repro"]]
    assert (document["seeds"], document["total"], document["compared"], document["equal"]) == ("1..2", 2, 2, 0)
    assert document["sums"]["elections"] > 0
    first, second = document["different"]
    assert (first["seed"], second["seed"]) == (1, 2)
    assert [side["side"] for side in first["sides"]] == ["sim-1", "sim-2"]
    left, right = first["difference"]["left"], first["difference"]["right"]
    fields = first["difference"]["fields"]
    assert fields and all([left[name], right[name]] == pair for name, pair in fields.items())
    assert all(RunDir(Path(side["run"])).load_info().seed == 2 for side in second["recorded"])


def test_a_narrow_terminal_gets_a_bar_and_whole_commands(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("FORCE_COLOR", "1")
    options = [*SMALL, "--mutant", "wall_clock", "--out", str(tmp_path)]
    _, stdout, stderr = command("selfcheck", "--seeds", "1..2", *options)
    assert stderr.count("\x1b[?25l") == stderr.count("\x1b[?25h") == 1, "the cursor is hidden, and shown again"
    bars = [line for line in re.split(r"[\r\n]", re.sub(r"\x1b\[[?0-9;]*[A-Za-z]", "", stderr)) if "━" in line]
    assert bars and all(len(line) <= 40 for line in bars) and any("2/2" in line for line in bars)
    lines = stdout.splitlines()
    assert all(len(line) <= 40 for line in lines[: lines.index("")])
    assert lines[-1].endswith("--mutant wall_clock")


# ---- wrong arguments -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--seeds", "1..x"], "--seeds: expected a seed or a range such as 1..20, got '1..x'"),
        (["--seeds", ""], "--seeds: expected a seed or a range such as 1..20, got ''"),
        (["--seeds", "9..1"], "--seeds: the range 9..1 is empty; its first seed must not be larger than its last"),
        (["--seeds", "1..99999999999"], "--seeds: expected at most 10000000 seeds at once, got '1..99999999999'"),
        (["--seeds", "1", "--mutant", "nope"], "--mutant: there is no 'nope'; there are "),
        (["--seeds", "1", "--duration", "1"], "--duration: expected at least "),
        (["--seeds", "1", "--out", __file__], f"--out: cannot make run directories in {__file__} ("),
        (["--seeds", "1", "--out", f"{__file__}/x/y"], f"--out: cannot make run directories in {__file__}/x/y ("),
    ],
)
def test_bad_arguments_are_named(words: list[str], said: str, command: Command) -> None:
    code, stdout, stderr = command("selfcheck", *words)
    assert (code, stdout) == (254, "")
    assert stderr.startswith(f"raft-chaos: {said}") and stderr.count("\n") == 1


# ---- cut short -----------------------------------------------------------------------------------------------------


def nodes_at_work(command: Background) -> bool:
    """Whether the first seed's real nodes have taken steps."""
    files = list(command.temp.glob("raft-chaos-*/1-lockstep-3/nodes/*/events-0001.jsonl"))
    return len(files) == 3 and all(file.stat().st_size > 5_000 for file in files)


@pytest.mark.slow
def test_a_selfcheck_that_is_killed_in_lockstep_leaves_nothing(tmp_path: Path) -> None:
    size = ["--nodes", "3", "--duration", "60", "--rate", "20"]
    words = ["--seeds", MANY, "--lockstep", *size, "--out", str(tmp_path / "out")]
    with background(RAFT_CHAOS, "selfcheck", *words) as command:
        eventually("the nodes are at work", lambda: nodes_at_work(command))
        assert len(command.family()) >= 1 + 3 + 3, "the controller, three workers, three nodes"
        command.sigkill()
        eventually("every process is gone", command.all_gone)
        eventually("every temporary folder is gone", lambda: not list(command.temp.iterdir()))
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_two_at_once_in_one_folder_and_ctrl_c_for_one_of_them(tmp_path: Path) -> None:
    words = ["--mutant", "wall_clock", "--nodes", "3", "--duration", "5", "--out", str(tmp_path / "out")]
    with (
        background(RAFT_CHAOS, "selfcheck", "--seeds", MANY, *words) as long,
        background(RAFT_CHAOS, "selfcheck", "--seeds", "1", *words) as short,
    ):
        eventually("a first difference", lambda: "seed 1: different" in long.stderr)
        long.family()
        assert long.interrupt() == 1, "a difference stands"
        eventually("every process is gone", long.all_gone)
        assert short.process.wait(60) == 1
        text = long.stdout
    assert "STOPPED: interrupted\n" in text and "events equal, then the runs differ" in text
    folders = sorted((tmp_path / "out").iterdir())
    assert len(folders) == 2
    runs = [run for folder in folders for run in folder.iterdir()]
    assert all(RunDir(run).load_info().state == "finished" for run in runs), "nothing is half done"
