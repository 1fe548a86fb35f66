"""Runs that are cut short: no process is left, and the written files can still be judged."""

from __future__ import annotations

import json
from pathlib import Path

import psutil
import pytest

from builders.commands import RAFT_CHAOS, Background, background, only_run, raft_chaos
from builders.processes import accepts, listening
from builders.schedules import saved, schedule
from builders.waiting import eventually
from raft_chaos.chaos.faults.pause import Pause
from raft_chaos.chaos.faults.starve import Starve
from raft_chaos.chaos.schedule.data import Fault, When
from raft_chaos.invariants.events import AnyEvent, FaultInjected, NodePaused, RunEnded, decode
from raft_chaos.invariants.rundir import RunDir

pytestmark = pytest.mark.live

LONG_US = 600_000_000
"""No test waits for it."""


def long_run(folder: Path, faults: list[Fault]) -> list[str]:
    """The command line of a run that lasts until the test ends it. Its nodes have a secret."""
    plan = schedule(faults, safety_us=(700_000, LONG_US), liveness_us=0, every_us=0)
    out = ["--out", str(folder / "out"), "--json"]
    return [RAFT_CHAOS, "run", "--schedule", saved(folder, plan), "--peer-auth", *out]


def reported(folder: Path, kind: type[AnyEvent]) -> bool:
    """Whether the harness has reported such an event so far."""
    lines = [line for file in folder.glob("out/*/harness.jsonl") for line in file.read_bytes().splitlines(True)]
    return any(isinstance(decode(line), kind) for line in lines if line.endswith(b"\n"))


def in_safety(folder: Path) -> bool:
    files = list(folder.glob("out/*/harness.jsonl"))
    return bool(files) and b'"safety"' in files[0].read_bytes()


def check(run: RunDir) -> tuple[int, dict[str, object]]:
    done = raft_chaos("check", str(run.path), "--json")
    return done.returncode, json.loads(done.stdout)


def record(command: Background) -> list[int]:
    """Records all processes and ports of a run in its safety phase: three nodes, the proxy, the reaper."""
    family = command.family()
    sessions = {process.pid for process in family if psutil.pid_exists(process.pid) and _leads_a_session(process.pid)}
    assert len(sessions) == 6, "the controller, three nodes, proxy and reaper lead sessions of their own"
    ports = command.listening()
    assert len(ports) == 3 + 3 + 6, "of each node the raft and the HTTP port, of the proxy one a link"
    assert all(accepts(port) for port in ports)
    return ports


def _leads_a_session(pid: int) -> bool:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[3]) == pid


@pytest.mark.slow
def test_ctrl_c_ends_a_run_as_unknown_and_leaves_no_process(tmp_path: Path) -> None:
    with background(*long_run(tmp_path, [])) as command:
        eventually("the safety phase begins", lambda: in_safety(tmp_path))
        ports = record(command)
        assert list((tmp_path / "out").glob("*/secrets/peers"))
        assert command.interrupt() == 130
        eventually("every process is gone", command.all_gone)
        assert not any(accepts(port) for port in ports)
        assert not list(command.temp.iterdir())
        document = json.loads(command.stdout)
    assert document["verdict"] == "unknown" and document["state"] == "finished"
    assert "the run was cut short: interrupted by SIGINT" in document["vacuous"]
    run = only_run(tmp_path / "out")
    assert not run.secrets.exists() and "--peer-auth" in run.load_info().repro
    code, judged = check(run)
    assert (code, judged["verdict"], judged["vacuous"]) == (2, "unknown", document["vacuous"])
    assert judged["invariants"] == document["invariants"]
    report = raft_chaos("report", str(run.path))
    assert report.returncode == 0 and report.stdout.startswith("UNKNOWN")


def test_a_killed_controller_leaves_nothing_but_evidence(tmp_path: Path) -> None:
    """Even a paused node, which notices nothing itself, is ended by the reaper."""
    pause = Fault(id="f1", when=When(at_us=800_000), action=Pause(["n2"]), duration_us=LONG_US)
    with background(*long_run(tmp_path, [pause])) as command:
        eventually("n2 is paused", lambda: reported(tmp_path, NodePaused))
        ports = record(command)
        assert list(command.temp.glob("pymp-*"))
        (secret,) = (tmp_path / "out").glob("*/secrets/peers")
        command.sigkill()
        eventually("every process is gone", command.all_gone)
        assert not any(accepts(port) for port in ports)
        assert not list(command.temp.iterdir()) and not secret.parent.exists()
    run = only_run(tmp_path / "out")
    assert run.load_info().state == "running" and run.load_info().verdict is None
    code, judged = check(run)
    assert (code, judged["verdict"]) == (2, "unknown")
    assert "the run was cut short: its end was never recorded" in str(judged["vacuous"])
    report = raft_chaos("report", str(run.path))
    assert report.returncode == 0 and "interrupted" in report.stdout.lower()


@pytest.mark.slow
def test_a_controller_that_is_killed_while_a_node_waits_for_the_processor_leaves_nothing(tmp_path: Path) -> None:
    """The slice of the node never ends, since nobody is left to continue it: the reaper ends the node."""
    starve = Fault(id="f1", when=When(at_us=800_000), action=Starve(["n2"], 1, 10_000_000), duration_us=LONG_US)
    with background(*long_run(tmp_path, [starve])) as command:
        eventually("n2 is starved", lambda: reported(tmp_path, FaultInjected))
        record(command)
        stopped = [process for process in command.family() if process.status() == psutil.STATUS_STOPPED]
        assert len(stopped) == 1
        command.sigkill()
        eventually("every process is gone", command.all_gone)
        assert not list(command.temp.iterdir())


@pytest.mark.slow
def test_a_failing_harness_reports_it_and_its_run_is_not_valid(tmp_path: Path) -> None:
    """Without its proxy no node hears another, but that is not a failure of the system under test."""
    with background(*long_run(tmp_path, [])) as command:
        eventually("the safety phase begins", lambda: in_safety(tmp_path))
        record(command)
        (proxy,) = [process for process in command.family() if len(listening(process)) == 6]
        proxy.kill()
        assert command.process.wait(30) == 255
        eventually("every process is gone", command.all_gone)
        assert "raft-chaos itself failed; this says nothing about the system under test" in command.stderr
        assert "Traceback" not in command.stderr and command.stdout == ""
    run = only_run(tmp_path / "out")
    (end,) = [event for event in run.harness_events() if isinstance(event, RunEnded)]
    assert end.reason == "the harness failed: the proxy ended by itself with exit code -9"
    info = run.load_info()
    assert (info.state, info.verdict, info.vacuous) == ("failed", "unknown", [end.reason])
    code, judged = check(run)
    assert (code, judged["verdict"]) == (2, "unknown") and end.reason in str(judged["vacuous"])


def test_ctrl_c_during_imports_prints_one_line(tmp_path: Path) -> None:
    """The fork server has just been started, and imports what nodes need."""
    with background(*long_run(tmp_path, [])) as command:
        eventually("the fork server is at work", lambda: any(map(_is_importing, command.family())))
        assert command.interrupt() == 130
        assert "Traceback" not in command.stderr
        assert "interrupted" in command.stderr
        eventually("nothing is left", command.all_gone)


def _is_importing(process: psutil.Process) -> bool:
    """It is the fork server, and past the start of the interpreter."""
    try:
        return "forkserver" in " ".join(process.cmdline()) and process.cpu_times().user > 0.05
    except psutil.NoSuchProcess:
        return False
