"""Foreign servers, started by a command line and judged by their clients' history alone."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest

from builders.commands import only_run, raft_chaos
from builders.schedules import saved, schedule
from raft_chaos.chaos.faults.process import Kill
from raft_chaos.chaos.schedule.data import Fault, When
from raft_chaos.chaos.targets.command import CommandTarget
from raft_chaos.chaos.targets.protocol import TargetError
from raft_chaos.invariants.events import NodeExited
from raft_chaos.invariants.rundir import RunDir

SERVER = [sys.executable, str(Path(__file__).with_name("wrong_server.py"))]
KILLS = [
    Fault(id="f1", when=When(at_us=700_000), action=Kill(["n1"], [200_000]), duration_us=0),
    Fault(id="f2", when=When(at_us=800_000), action=Kill(["n2", "n3"], [0, 200_000]), duration_us=0),
]


def broken(
    tmp_path: Path, command: str, faults: list[Fault], clients: int = 3, every_us: int = 20_000
) -> tuple[int, dict[str, Any], RunDir]:
    """(exit code, document, run) of a short run against the command."""
    file = saved(tmp_path, schedule(faults, safety_us=(700_000, 1_200_000), clients=clients, every_us=every_us))
    out = tmp_path / "out"
    done = raft_chaos("run", "--target-command", command, "--schedule", file, "--out", str(out), "--json")
    assert done.returncode in (0, 1, 2), done.stderr
    return done.returncode, json.loads(done.stdout), only_run(out)


BY_HISTORY = {"acknowledged_writes", "monotonic_reads", "linearizability", "unexpected_exit"}
"""What is judged of a system that reports no events."""


def server(mode: str) -> str:
    return shlex.join([*SERVER, "--port", "{http_port}", "--mode", mode, "--data", "{data}"])


@pytest.mark.slow
@pytest.mark.live
def test_a_server_that_forgets_and_never_replicates_is_convicted_by_its_history(tmp_path: Path) -> None:
    code, document, run = broken(tmp_path, server("memory"), KILLS)
    assert code == 1
    assert document["invariants"]["acknowledged_writes"] == "violated"
    assert document["invariants"]["linearizability"] == "violated"
    assert document["invariants"]["unexpected_exit"] == "valid"
    assert set(document["invariants"]) == BY_HISTORY
    assert document["target"] == "command"
    assert run.node_streams() == []
    check = raft_chaos("check", str(run.path))
    assert check.returncode == 1 and "acknowledged_writes" in check.stdout


@pytest.mark.slow
@pytest.mark.live
def test_the_same_server_with_durable_state_is_valid(tmp_path: Path) -> None:
    code, document, run = broken(tmp_path, server("shared"), KILLS, every_us=50_000)
    assert document["vacuous"] == []
    assert document["invariants"] == dict.fromkeys(BY_HISTORY, "valid"), document["violations"]
    assert code == 0
    assert json.loads((run.path / "shared-state.json").read_text())["list"]


@pytest.mark.live
def test_a_system_that_never_came_up_convicts_nobody_and_says_why(tmp_path: Path) -> None:
    """Its command is wrong, or the machine: at once, and with what it said, where it ended by itself."""
    command = shlex.join([sys.executable, "-c", "import sys; sys.exit('no config for {node}')"])
    file = saved(tmp_path, schedule([], safety_us=(700_000, 1_200_000)))
    out = tmp_path / "out"
    done = raft_chaos("run", "-q", "--target-command", command, "--schedule", file, "--out", str(out))
    assert done.returncode == 254
    assert "the target did not start" in done.stderr and "no config for n" in done.stderr
    run = only_run(out)
    info = run.load_info()
    assert info.verdict == "unknown" and info.state == "failed" and info.vacuous[0].startswith("the run never began")
    assert not any(isinstance(event, NodeExited) for event in run.harness_events())
    assert raft_chaos("check", str(run.path)).returncode == 2


@pytest.mark.slow
@pytest.mark.live
def test_a_server_that_does_not_come_back_after_a_fault_is_a_violation(tmp_path: Path) -> None:
    program = (
        "import os, sys; os.path.exists('{data}/was') and sys.exit('no way back for {node}'); open('{data}/was', 'w');"
    )
    command = shlex.join(["sh", "-c", f"{shlex.join([sys.executable, '-c', program])} && exec {server('memory')}"])
    code, document, run = broken(tmp_path, command, KILLS[:1])
    assert code == 1
    assert document["invariants"]["unexpected_exit"] == "violated"
    (exit_,) = [event for event in run.harness_events() if isinstance(event, NodeExited)]
    assert exit_.subject == "n1" and exit_.log_tail.endswith("no way back for n1")


@pytest.mark.parametrize(
    ("command", "wrong"),
    [
        ("", "got nothing"),
        ("no-such-program {node}", "'no-such-program'"),
        ("sh -c '{nope}'", "'nope'"),
        ("sh -c {}", "positional"),
        ("sh -c {node", "'}'"),
        ("sh 'unclosed", "quotation"),
    ],
)
def test_a_command_line_that_cannot_be_run_is_refused(command: str, wrong: str) -> None:
    with pytest.raises(TargetError, match=wrong.replace("}", "[}]")):
        CommandTarget(command)


def test_the_command_line_is_refused_before_a_run_directory_is_made(tmp_path: Path) -> None:
    done = raft_chaos("run", "--target-command", "no-such-program", "--out", str(tmp_path / "out"))
    assert done.returncode == 254
    assert done.stderr == "raft-chaos: --target-command: there is no program 'no-such-program' that could be run\n"
    assert not (tmp_path / "out").exists()
