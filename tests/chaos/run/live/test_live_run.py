"""A whole live run in this process: its files, and that the saved run gives the same result as the live one."""

from __future__ import annotations

import shutil
from pathlib import Path
from random import Random
from typing import Any, ClassVar

import msgspec
import pytest

from builders.runs import unsealed
from builders.schedules import ISOLATED, fault, schedule
from raft_chaos.chaos.faults.corrupt import Corrupt
from raft_chaos.chaos.faults.partition import Partition
from raft_chaos.chaos.faults.pause import Pause
from raft_chaos.chaos.faults.process import Kill
from raft_chaos.chaos.judgement.analysis import analyse
from raft_chaos.chaos.processes.supervisor import Supervisor
from raft_chaos.chaos.run.live.run import RunStatus, Watch, run_live
from raft_chaos.chaos.run.settings import Settings, describe
from raft_chaos.chaos.schedule.config import ScheduleConfig
from raft_chaos.chaos.schedule.data import Fault, When
from raft_chaos.chaos.schedule.file import load
from raft_chaos.chaos.schedule.generate import generate
from raft_chaos.chaos.targets.protocol import Launch, Running
from raft_chaos.chaos.targets.raft import RaftTarget
from raft_chaos.invariants.events import NodeExited, NodeKilled, NodeLaunched, NodePaused, PhaseStarted, RunEnded
from raft_chaos.invariants.judge import Judge
from raft_chaos.invariants.rundir import RunDir, RunInfo
from raft_chaos.invariants.verdict import Outcome, Verdict
from raft_chaos.raft.state.timing import Timing
from raft_chaos.reports.write import render

pytestmark = pytest.mark.live

TIMING = Timing(150_000, 300_000, 50_000)
CONFIG = ScheduleConfig(nodes=3, clients=3, warmup_s=1.0, duration_s=5.0, liveness_s=1.0)


@pytest.fixture(scope="module")
def statuses() -> list[RunStatus]:
    return []


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory, statuses: list[RunStatus]) -> RunDir:
    """A run of seed 4: a drawn schedule with all kinds of faults."""
    run = RunDir(tmp_path_factory.mktemp("live") / "run")
    settings = Settings(schedule=CONFIG, timing=TIMING)
    plan = settings.make_schedule(4)
    watch = Watch(progress=statuses.append)
    run_live(plan, RaftTarget(TIMING), run, describe(settings, 4, plan, run), watch=watch)
    return run


@pytest.mark.slow
def test_a_pause_and_a_kill_within_milliseconds_are_not_a_violation(tmp_path: Path) -> None:
    """Each node in turn, with a pause that begins or ends a few ms before or after the kill."""
    faults = []
    for number in range(12):
        node, at_us = f"n{1 + number % 3}", 700_000 + 400_000 * number
        apart_us = 1_000 * (number - 6)
        faults += [
            Fault(id=f"{number:02}/kill", when=When(at_us=at_us), action=Kill([node], [0]), duration_us=0),
            Fault(id=f"{number:02}/pause", when=When(at_us=at_us + apart_us), action=Pause([node]), duration_us=4_000),
        ]
    run = RunDir(tmp_path / "run")
    plan = schedule(faults, safety_us=(600_000, 5_600_000), every_us=40_000)
    info = run_live(plan, RaftTarget(TIMING), run, RunInfo(seed=1, nodes=plan.header.nodes))
    harness = run.harness_events()
    assert not [event for event in harness if isinstance(event, NodeExited)]
    assert info.verdict != "violated", info.invariants
    assert sum(isinstance(event, NodeKilled) for event in harness) > 6
    assert any(isinstance(event, NodePaused) for event in harness), "or nothing was done at the same time"


class Watched(RaftTarget):
    """Looks at the secret of the nodes that it starts."""

    modes: ClassVar[list[tuple[int, int]]] = []

    def start(self, supervisor: Supervisor, launch: Launch) -> Running:
        assert launch.secret_file is not None
        self.modes.append((launch.secret_file.parent.stat().st_mode & 0o777, launch.secret_file.stat().st_mode & 0o777))
        return super().start(supervisor, launch)


@pytest.mark.slow
def test_faults_strike_nodes_that_prove_who_they_are_as_any_others(tmp_path: Path) -> None:
    """Nodes restart and links break, so there are handshakes throughout; only their owner can read the secret."""
    faults = [
        fault("f1", 800_000, Kill(["leader"], [0]), 200_000),
        fault("f2", 1_500_000, Partition("isolate_leader", ISOLATED), 500_000),
        fault("f3", 2_500_000, Kill(["leader"], [0]), 200_000),
    ]
    run = RunDir(tmp_path / "run")
    plan = schedule(faults, safety_us=(700_000, 3_200_000), liveness_us=800_000)
    info = run_live(plan, Watched(TIMING), run, RunInfo(seed=1, nodes=plan.header.nodes), peer_auth=True)
    assert info.verdict == "valid", render(run, "text")
    assert (info.stats["faults_effective"], info.stats["restarts"]) == (3, 2)
    assert set(Watched.modes) == {(0o700, 0o600)} and len(Watched.modes) == 5
    assert not run.secrets.exists()
    assert not any("proof" in log.read_text() for log in run.path.glob("nodes/*/stderr.log"))


def outcomes(verdicts: list[Verdict]) -> dict[str, Outcome]:
    return {verdict.invariant: verdict.outcome for verdict in verdicts}


def test_a_correct_cluster_is_valid(run_dir: RunDir) -> None:
    info = run_dir.load_info()
    assert (info.state, info.verdict) == ("finished", "valid"), render(run_dir, "text")
    assert set(outcomes(info.invariants).values()) == {"valid"}
    assert info.vacuous == []


def test_the_directory_holds_the_whole_run(run_dir: RunDir) -> None:
    assert load(run_dir.schedule) == generate(4, CONFIG)
    assert len(run_dir.node_streams()) == 3
    harness = run_dir.harness_events()
    assert [e.phase for e in harness if isinstance(e, PhaseStarted)] == ["warmup", "safety", "liveness", "settled"]
    assert isinstance(harness[-1], RunEnded) and harness[-1].reason == "completed"
    launches = [(e.subject, e.subject_inc) for e in harness if isinstance(e, NodeLaunched)]
    kills = [(e.subject, e.subject_inc) for e in harness if isinstance(e, NodeKilled)]
    assert len(launches) > 3 and set(kills) < set(launches)
    for node, incarnation in launches:
        assert run_dir.node_events(node, incarnation).stat().st_size > 0
        assert (run_dir.node(node) / "stderr.log").exists()


def test_each_operation_is_invoked_once_and_ends_once(run_dir: RunDir) -> None:
    history = run_dir.operations()
    invoked = [op.op for op in history if op.type == "invoke"]
    ended = [op.op for op in history if op.type != "invoke"]
    assert len(set(invoked)) == len(invoked)
    assert sorted(invoked) == sorted(ended)
    assert {op.key for op in history if op.final} == {operation.key for operation in load(run_dir.schedule).operations}
    open_ops: dict[int, str] = {}
    for op in history:  # a process has one operation open at a time, and none after an unknown one
        if op.type == "invoke":
            assert op.process not in open_ops
            open_ops[op.process] = op.op
        elif op.type == "info":
            assert open_ops[op.process] == op.op
        else:
            assert open_ops.pop(op.process) == op.op


def test_the_status_shows_nodes_faults_and_operations(run_dir: RunDir, statuses: list[RunStatus]) -> None:
    assert {"warmup", "safety", "liveness"} <= {status.phase for status in statuses}
    assert any(line.role == "leader" for status in statuses for line in status.nodes)
    assert any(line.incarnation > 1 for status in statuses for line in status.nodes)
    assert any(status.faults for status in statuses)
    assert [s.ops["ok"] for s in statuses] == sorted(s.ops["ok"] for s in statuses)
    assert statuses[-1].ops["ok"] > 0 and statuses[-1].violations == []


def test_judging_a_saved_run_gives_the_same_result(run_dir: RunDir) -> None:
    info = run_dir.load_info()
    first, second = analyse(run_dir), analyse(run_dir)
    assert first == second
    assert (first.verdict, first.invariants, first.vacuous) == (info.verdict, info.invariants, info.vacuous)
    assert first.stats == {name: value for name, value in info.stats.items() if name != "wall_s"}


def test_verdicts_do_not_depend_on_the_interleaving_of_nodes(run_dir: RunDir) -> None:
    streams: list[list[Any]] = [run_dir.harness_events(), *run_dir.node_streams(), run_dir.operations()]
    info = run_dir.load_info()
    expected = outcomes(info.invariants)
    for seed in range(20):
        judge = Judge(voters=info.nodes, pace=info.pace)
        turns = [number for number, stream in enumerate(streams) for _ in stream]
        Random(seed).shuffle(turns)
        rest = [iter(stream) for stream in streams]
        for number in turns:
            item = next(rest[number])
            if number == len(streams) - 1:
                judge.observe_op(item)
            else:
                judge.observe(item)
        assert outcomes(judge.verdicts()) == expected, f"shuffled by seed {seed}"


def test_a_run_does_not_overwrite_another(run_dir: RunDir) -> None:
    before = run_dir.harness.read_bytes()
    with pytest.raises(FileExistsError):
        run_live(schedule(), RaftTarget(TIMING), run_dir, RunInfo(seed=1))
    assert run_dir.harness.read_bytes() == before
    assert run_dir.load_info().seed == 4


def test_a_torn_last_line_does_not_change_the_verdict(run_dir: RunDir, tmp_path: Path) -> None:
    """A kill of the controller may leave half of the event that it was writing."""
    copy = unsealed(RunDir(Path(shutil.copytree(run_dir.path, tmp_path / "copy"))))
    with copy.history.open("ab") as history:
        history.write(msgspec.json.encode({"type": "invoke"})[:-4])
    assert analyse(copy) == analyse(run_dir)


@pytest.mark.parametrize("keep", [0.0, 0.5], ids=["emptied", "cut in half"])
def test_a_run_with_lost_events_is_not_valid(run_dir: RunDir, tmp_path: Path, keep: float) -> None:
    copy = RunDir(Path(shutil.copytree(run_dir.path, tmp_path / "copy")))
    file = copy.node_events("n1", 1)
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join(lines[: int(keep * len(lines))]))
    analysis = analyse(copy)
    (reason,) = analysis.vacuous
    assert (analysis.verdict, analysis.invariants) == ("unknown", [])
    assert reason.startswith(f"nodes/n1/events-0001.jsonl: has {file.stat().st_size} bytes; it had ")
    assert analyse(unsealed(copy)).verdict == "unknown"


def test_the_events_of_another_node_in_a_file_are_refused(run_dir: RunDir, tmp_path: Path) -> None:
    copy = RunDir(Path(shutil.copytree(run_dir.path, tmp_path / "copy")))
    shutil.copy(copy.node_events("n1", 1), copy.node_events("n2", 99))
    assert analyse(copy).vacuous == ["nodes/n2/events-0099.jsonl: was added after the run had ended"]
    (reason,) = analyse(unsealed(copy)).vacuous
    assert "events-0099.jsonl:1: an event of n1, incarnation 1" in reason


@pytest.mark.slow
def test_flipped_bits_are_refused_by_real_nodes_which_go_on(tmp_path: Path) -> None:
    faults = [
        fault("f1", 800_000, Corrupt(["leader"], 0.2), 1_000_000),
        fault("f2", 2_200_000, Kill(["leader"], [0]), 200_000),
        fault("f3", 3_000_000, Corrupt(["n1", "n2", "n3"], 0.1), 1_000_000),
    ]
    run = RunDir(tmp_path / "run")
    plan = schedule(faults, safety_us=(700_000, 4_200_000), liveness_us=1_000_000)
    info = run_live(plan, RaftTarget(TIMING), run, RunInfo(seed=1, nodes=plan.header.nodes))
    assert info.verdict == "valid", render(run, "text")
    assert info.stats["faults_effective"] == 3
    logs = "".join(file.read_text() for file in run.path.glob("nodes/*/stderr.log"))
    assert "the checksum of a frame" in logs
