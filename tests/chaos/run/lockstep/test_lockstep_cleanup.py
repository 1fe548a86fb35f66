"""A run in the world `lockstep` that is ended from outside: no process, no socket and no temporary file is left."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from builders.commands import SCRIPTS, Background, background
from builders.processes import accepts
from builders.waiting import eventually
from raft_chaos.invariants.events import Event
from raft_chaos.invariants.rundir import RunDir

pytestmark = pytest.mark.live

CONTROLLER = [sys.executable, "-m", "run.lockstep.lockstep_controller"]


def at_work(folder: Path) -> bool:
    """Whether every node has taken many steps."""
    files = list((folder / "run").glob("nodes/*/events-0001.jsonl"))
    return len(files) == 3 and all(file.stat().st_size > 5_000 for file in files)


def record(command: Background) -> list[int]:
    ports = command.listening()
    assert len(ports) == 6 + 3, "the controller listens on one port a link, each node on one"
    return ports


@pytest.mark.parametrize("how", ["killed", "interrupted"])
def test_a_controller_that_is_ended_leaves_nothing_but_evidence(how: str, tmp_path: Path) -> None:
    with background(*CONTROLLER, str(tmp_path), cwd=SCRIPTS) as command:
        eventually("all nodes are at work", lambda: at_work(tmp_path))
        ports = record(command)
        assert list(command.temp.glob("pymp-*"))
        if how == "killed":
            command.sigkill()
        else:
            assert command.interrupt() == 0, "the run ends in good order, and returns"
            assert "Traceback" not in command.stderr
        eventually("every process is gone", command.all_gone)
        assert not any(accepts(port) for port in ports)
        assert not list(command.temp.iterdir())
    run = RunDir(tmp_path / "run")
    info = run.load_info()
    assert info.state == ("running" if how == "killed" else "finished")
    assert ("the run was cut short: interrupted by SIGINT" in info.vacuous) == (how == "interrupted")
    reporters = {item.event.node for item in run.trace() if isinstance(item.event, Event)}
    assert {"n1", "n2", "n3"} <= reporters
