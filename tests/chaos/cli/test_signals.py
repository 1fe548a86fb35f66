"""Commands that a signal ends, as processes of their own: what they say, their exit codes, and what is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from builders.commands import RAFT_CHAOS, Background, background, only_run, raft_chaos
from builders.schedules import saved, schedule
from builders.waiting import PATIENCE_S, eventually
from raft_chaos.chaos.reproduction.file import load

CODES = {signal.SIGHUP: 129, signal.SIGINT: 130, signal.SIGTERM: 143}
LONG_US = 600_000_000
IN_SIM = ["--world", "sim", "--nodes", "5", "--duration", "600", "--rate", "20"]
"""A run that no test waits for."""


def send(command: Background, *numbers: signal.Signals) -> int:
    """Signals to the whole group, one right after the other; the exit code."""
    for number in numbers:
        try:
            os.killpg(command.process.pid, number)
        except ProcessLookupError:
            break  # it has ended already
    return command.process.wait(PATIENCE_S)


def live(folder: Path) -> list[str]:
    plan = schedule([], safety_us=(700_000, LONG_US), liveness_us=0, every_us=0)
    return [RAFT_CHAOS, "run", "--schedule", saved(folder, plan), "--out", str(folder / "out")]


def recorded(folder: Path, text: bytes, at_least: int = 0) -> bool:
    files = list(folder.glob("out/*/harness.jsonl"))
    return bool(files) and text in (now := files[0].read_bytes()) and len(now) >= at_least


# ---- one run -----------------------------------------------------------------------------------------------------


@pytest.mark.live
@pytest.mark.parametrize(
    "number", [pytest.param(number, marks=[] if number == signal.SIGINT else pytest.mark.slow) for number in CODES]
)
def test_a_live_run_ends_in_good_order(number: signal.Signals, tmp_path: Path) -> None:
    """Also if the user is impatient: what comes during the clean-up changes nothing."""
    with background(*live(tmp_path)) as command:
        eventually("the safety phase begins", lambda: recorded(tmp_path, b'"safety"'))
        command.family()
        assert send(command, number, number, number) == CODES[number]
        eventually("every process is gone", command.all_gone)
        assert not list(command.temp.iterdir())
        assert command.stdout.startswith("UNKNOWN")
        assert "Traceback" not in command.stderr and command.stderr.endswith(f"\ninterrupted by {number.name}\n")
    info = only_run(tmp_path / "out").load_info()
    assert (info.state, info.verdict) == ("finished", "unknown")
    assert f"the run was cut short: interrupted by {number.name}" in info.vacuous


@pytest.mark.slow
def test_a_simulated_run_has_the_verdict_so_far(tmp_path: Path) -> None:
    with background(RAFT_CHAOS, "run", "--seed", "1", *IN_SIM, "--out", str(tmp_path / "out")) as command:
        eventually("it is under way", lambda: recorded(tmp_path, b'"safety"'))
        assert send(command, signal.SIGINT, signal.SIGINT) == 130
        assert command.stdout.startswith("UNKNOWN") and "Traceback" not in command.stderr
        assert command.stderr.endswith("\ninterrupted by SIGINT\n")
    run = only_run(tmp_path / "out")
    info = run.load_info()
    assert (info.state, info.verdict) == ("finished", "unknown")
    done = raft_chaos("check", str(run.path))
    assert done.returncode == 2 and "missing: the run was cut short: interrupted by SIGINT" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("world", ["sim", "lockstep", pytest.param("live", marks=pytest.mark.live)])
def test_the_time_limit_ends_a_run_in_the_middle(world: str, tmp_path: Path) -> None:
    """The runs would last for two minutes, in `sim` of virtual time. Two of them: the second one never begins."""
    words = ["--seed", "1", "--world", world, "--nodes", "3", "--duration", "120", "--rate", "20", "--repeat", "2"]
    command_line = [RAFT_CHAOS, "run", *words, "--time-limit", "1.5", "--out", str(tmp_path / "out")]
    with background(*command_line) as command:
        command.family()
        assert command.process.wait(PATIENCE_S) == 2
        eventually("every process is gone", command.all_gone)
        assert not list(command.temp.iterdir())
        assert command.stderr.endswith("\ninterrupted by the time limit\n") and "Traceback" not in command.stderr
        assert "0 of 2 runs are done; to go on, give the same command with --seeds 1\n" in command.stderr
    info = only_run(tmp_path / "out").load_info()
    assert (info.state, info.verdict) == ("finished", "unknown")
    assert info.vacuous[0] == "the run was cut short: interrupted by the time limit"


@pytest.mark.slow
def test_a_violation_outranks_the_interruption(tmp_path: Path) -> None:
    """The harness reports nothing of a violation while it simulates; but by then the node has been restarted often."""
    words = ["--mutant", "vote_not_persisted", "--seed", "1", *IN_SIM, "--fault-interval", "0.3"]
    with background(RAFT_CHAOS, "run", *words, "--out", str(tmp_path / "out"), "-q") as command:
        eventually("many faults", lambda: recorded(tmp_path, b"node_killed", at_least=20_000))
        assert send(command, signal.SIGTERM) == 1
        assert command.stdout.startswith("VIOLATED") and command.stderr.endswith("interrupted by SIGTERM\n")
    info = only_run(tmp_path / "out").load_info()
    assert (info.state, info.verdict) == ("finished", "violated")


@pytest.mark.live
@pytest.mark.slow
def test_of_several_runs_the_rest_is_named(tmp_path: Path) -> None:
    with background(*live(tmp_path), "--repeat", "3", "--seed", "7") as command:
        eventually("the safety phase begins", lambda: recorded(tmp_path, b'"safety"'))
        assert send(command, signal.SIGINT) == 130
        assert "0 of 3 runs are done; to go on, give the same command with --seeds 7\n" in command.stderr


@pytest.mark.live
@pytest.mark.slow
def test_what_is_ignored_at_the_start_stays_ignored(tmp_path: Path) -> None:
    """`nohup` ignores SIGHUP for the command that it starts."""
    with background("nohup", *live(tmp_path)) as command:
        eventually("the safety phase begins", lambda: recorded(tmp_path, b'"safety"'))
        command.process.send_signal(signal.SIGHUP)
        assert send(command, signal.SIGTERM) == 143


# ---- other commands ----------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_an_interrupted_shrink_saves_the_best_so_far(tmp_path: Path) -> None:
    # Thousands of operations in a run that fails early: shrinking it takes a minute.
    words = ["--world", "sim", "--seed", "1", "--mutant", "old_term_commit", "-q", "--out", str(tmp_path / "out")]
    assert raft_chaos("run", *words).returncode == 1
    run = only_run(tmp_path / "out")
    with background(RAFT_CHAOS, "shrink", str(run.path), "--jobs", "2", "--budget", "10m") as command:
        eventually("its workers are there", lambda: len(command.family()) > 2)
        assert send(command, signal.SIGINT, signal.SIGINT) == 130
        eventually("every process is gone", command.all_gone)
        assert "interrupted, so it may not be minimal" in command.stdout
        assert command.stderr.endswith("interrupted by SIGINT\n") and "Traceback" not in command.stderr
    assert load(run.path / "reproduction.json").expected.invariant == "leader_commits_own_term"


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGHUP, marks=pytest.mark.slow)])
def test_a_campaign_and_its_workers_end_together(number: signal.Signals, tmp_path: Path) -> None:
    """The whole group gets it, as from `timeout`: no worker may end first, which would be a failure of the harness."""
    words = ["--world", "sim", "--seeds", "1..100000", "--jobs", "2", "--duration", "3", "--warmup", "0.5"]
    with background(RAFT_CHAOS, "run", *words, "--out", str(tmp_path)) as command:
        eventually("a seed is done", lambda: any(b'"seed"' in f.read_bytes() for f in tmp_path.glob("campaign-*")))
        command.family()
        assert send(command, number, number) == CODES[number]
        eventually("every process is gone", command.all_gone)
        page = " ".join(command.stdout.split())
        assert "STOPPED: interrupted" in page and "To start over, remove " in page
        assert "Traceback" not in command.stderr and "HARNESS FAILED" not in command.stdout + command.stderr


@pytest.mark.slow
def test_an_interrupted_selfcheck_says_so(tmp_path: Path) -> None:
    words = ["--seeds", "1..100000", "--jobs", "1", "--out", str(tmp_path / "out")]
    with background(RAFT_CHAOS, "selfcheck", *words) as command:
        eventually("its workers are there", lambda: len(command.family()) > 2)
        assert send(command, signal.SIGTERM, signal.SIGTERM) == 143
        eventually("every process is gone", command.all_gone)
        assert "STOPPED: interrupted\n" in command.stdout and command.stderr.endswith("interrupted by SIGTERM\n")
        assert not list(command.temp.iterdir())


@pytest.mark.live
def test_a_cluster_that_is_ended_while_it_starts(tmp_path: Path) -> None:
    ports = ["--http-port", "18731", "--raft-port", "18741"]
    with background(RAFT_CHAOS, "cluster", *ports) as command:
        eventually("it has begun", lambda: list(command.temp.glob("pymp-*")))
        command.family()
        assert send(command, signal.SIGTERM, signal.SIGTERM) == 143
        eventually("every process is gone", command.all_gone)
        assert (command.stdout, command.stderr) == ("", "interrupted by SIGTERM\n")
        assert not list(command.temp.iterdir())


@pytest.mark.slow
@pytest.mark.live
@pytest.mark.parametrize("begun", ["pymp-*", "pymp-*/listener-*"])
def test_a_group_that_is_killed_leaves_no_folder(begun: str, tmp_path: Path) -> None:
    """At once, when only the reaper knows of the folder."""
    with background(*live(tmp_path)) as command:
        eventually("it has begun", lambda: list(command.temp.glob(begun)))
        command.family()
        assert send(command, signal.SIGKILL) == -signal.SIGKILL
        eventually("every process is gone", command.all_gone)
        eventually("every folder is gone", lambda: not list(command.temp.iterdir()))


# ---- at odd moments ----------------------------------------------------------------------------------------------

CONSOLE = """
import sys
from raft_chaos.chaos.cli.entry import main
sys.argv = ["raft-chaos", "faults"]
main()
"""
IMPORTING = """
import os, signal, sys
class Impatient:
    def find_spec(self, name, path=None, target=None):
        if name == "typer":
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Impatient())
"""
ENDING = """
import atexit, os, signal
@atexit.register
def impatient():
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        os.kill(os.getpid(), number)
"""
IN_A_DESTRUCTOR = """
import os, signal, time
import raft_chaos.chaos.cli.faults as faults
class Impatient:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0)
def waits(as_json=False):
    Impatient()
    while True:
        signal.pause()
faults.faults = waits
"""


@pytest.mark.parametrize(
    ("when", "code", "said"),
    [
        (IMPORTING, 130, "interrupted by SIGINT\n"),
        (ENDING, 0, ""),
        (IN_A_DESTRUCTOR, 130, "interrupted by SIGINT\n"),
    ],
    ids=["importing", "ending", "destructor"],
)
def test_a_signal_at_an_odd_moment(when: str, code: int, said: str) -> None:
    script = when + CONSOLE
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=PATIENCE_S)
    assert (done.returncode, done.stderr) == (code, said)
