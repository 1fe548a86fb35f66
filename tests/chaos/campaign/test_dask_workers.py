"""Campaigns on real Dask workers: a cluster of our own, and a scheduler with two workers in processes of their own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil
import pytest

from builders.campaigns import ALWAYS_CONVICTED, settings, traces
from builders.commands import RAFT_CHAOS, background, raft_chaos
from builders.processes import FIRST_PORT, free_ports
from builders.waiting import eventually
from raft_chaos.chaos.campaign.campaign import Campaign
from raft_chaos.chaos.campaign.dask_workers import QUIET, dask_workers
from raft_chaos.chaos.campaign.file import read_campaign
from raft_chaos.chaos.campaign.seed import run_seed
from raft_chaos.chaos.campaign.seed_result import SeedResult
from raft_chaos.chaos.campaign.workers import WorkersError
from raft_chaos.chaos.judgement.analysis import analyse
from raft_chaos.invariants.rundir import RunDir

pytest.importorskip("distributed", reason="Dask is not installed: pip install 'raft-chaos[dask]'")
pytestmark = pytest.mark.slow

SEEDS = range(1, 41)
SMALL = ("--world", "sim", "--rate", "10", "--duration", "4", "--nodes", "3", "--executor", "dask")


@contextmanager
def started(*command: str) -> Iterator[psutil.Popen]:
    """A process, which is killed at the end of the block, and whatever it has started."""
    environment = os.environ | {"DASK_DISTRIBUTED__DIAGNOSTICS__NVML": "False"}
    with psutil.Popen(
        [sys.executable, "-m", *command], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            yield process
        finally:
            for one in (*process.children(recursive=True), process):
                one.kill()


@pytest.fixture
def scheduler() -> Iterator[tuple[str, list[psutil.Popen]]]:
    """The address of a scheduler, and its two workers."""
    port = free_ports(1, FIRST_PORT)
    address = f"tcp://127.0.0.1:{port}"
    with ExitStack() as stack:
        given = ("--host", "127.0.0.1", "--port", str(port), "--no-dashboard")
        stack.enter_context(started("distributed.cli.dask_scheduler", *given))
        one = ("distributed.cli.dask_worker", address, "--nthreads", "1", "--no-dashboard", "--no-nanny")
        yield address, [stack.enter_context(started(*one, "--host", "127.0.0.1")) for _ in range(2)]


def expected() -> dict[int, str]:
    return {seed: run_seed(settings(), seed, None).trace_sha256 for seed in SEEDS}


def test_a_cluster_of_our_own_gives_the_results_of_this_process(tmp_path: Path) -> None:
    with dask_workers(None, 2) as workers, Campaign(settings(), SEEDS, tmp_path) as campaign:
        assert workers.jobs == 2 and workers.far
        assert traces(list(campaign.run(workers.open, 8, far=True))) == expected()


def test_the_settings_of_our_own_cluster_are_ones_that_dask_has() -> None:
    import dask

    for name, value in QUIET.items():
        assert type(dask.config.get(name)) is type(value), name


def test_run_directories_come_back_whole(tmp_path: Path) -> None:
    with dask_workers(None, 2) as workers, Campaign(settings(ALWAYS_CONVICTED), [1, 2], tmp_path) as campaign:
        for end in campaign.run(workers.open, 8, far=True):
            assert isinstance(end, SeedResult) and end.run is not None
            assert analyse(RunDir(Path(end.run))).verdict == "violated"


def test_a_worker_that_is_killed_costs_no_result(scheduler: tuple[str, list[psutil.Popen]], tmp_path: Path) -> None:
    address, workers_processes = scheduler
    with dask_workers(address, 1) as workers, Campaign(settings(), SEEDS, tmp_path) as campaign:
        ends = []
        for end in campaign.run(workers.open, 8, far=True):
            ends.append(end)
            if len(ends) == 5:
                workers_processes[0].send_signal(signal.SIGKILL)
        assert traces(ends) == expected() and campaign.complete


def test_an_exploration_is_the_same_on_its_workers(tmp_path: Path) -> None:
    """The number of jobs decides the way of an exploration; where they run does not."""
    options = ("explore", "--budget", "600s", "--max-failures", "1", "--mutant", "half_is_majority", "--jobs", "2")
    found = []
    for executor in ("processes", "dask"):
        done = raft_chaos(*options, "--executor", executor, "--out", str(tmp_path / executor), "--json", "--quiet")
        assert done.returncode == 1, done.stderr
        document = json.loads(done.stdout)
        found.append([document[name] for name in ("verdict", "runs", "states", "unknown")])
    assert found[0] == found[1]


def test_an_address_without_a_scheduler_is_named() -> None:
    address = f"tcp://127.0.0.1:{free_ports(1, FIRST_PORT)}"
    done = raft_chaos("run", "--seeds", "1..2", *SMALL, "--scheduler", address)
    assert done.returncode == 254 and f"--scheduler: {address}: no Dask scheduler answers there" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_scheduler_without_workers_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("raft_chaos.chaos.campaign.dask_workers.PATIENCE_S", 3.0)
    port = free_ports(1, FIRST_PORT)
    with started("distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard"):

        def refused() -> bool:
            with pytest.raises(WorkersError) as error, dask_workers(f"tcp://127.0.0.1:{port}", 1):
                pass
            return "it has no worker after 3 s" in str(error.value)

        eventually("the scheduler answers, and has no worker", refused)


@pytest.mark.parametrize("end", ["Ctrl-C", "SIGKILL"])
def test_nothing_is_left_behind(end: str, tmp_path: Path) -> None:
    with background(RAFT_CHAOS, "run", "--seeds", "1..100000", *SMALL, "--out", str(tmp_path)) as command:
        eventually("the campaign has results", lambda: _results(tmp_path) >= 3)
        assert len(command.family()) > 3, "the command, two workers and the reaper"
        if end == "Ctrl-C":
            assert command.interrupt() == 130
        else:
            command.sigkill()
        eventually("its processes have ended", command.all_gone)
        eventually("its folders are gone", lambda: not list(command.temp.iterdir()))
        assert "Traceback" not in command.stderr


def _results(out: Path) -> int:
    files = list(out.glob("campaign-*.jsonl"))
    return len(read_campaign(files[0])[1]) if files and files[0].stat().st_size else 0


def test_a_failure_shrinks_to_the_same_file_on_workers_as_here(tmp_path: Path) -> None:
    run = raft_chaos("run", *SMALL[:-2], "--seed", "1", "--mutant", ALWAYS_CONVICTED, "--out", str(tmp_path))
    assert run.returncode == 1, run.stderr
    (folder,) = (found.parent for found in tmp_path.rglob("run.json"))
    here, there = tmp_path / "here.json", tmp_path / "there.json"
    words = ("shrink", str(folder), "--budget", "300s", "--no-anchors", "--jobs", "2", "--json")
    reports = [
        raft_chaos(*words, "--out", str(here)),
        raft_chaos(*words, "--out", str(there), "--executor", "dask"),
    ]
    assert [report.returncode for report in reports] == [0, 0], reports[1].stderr
    assert json.loads(here.read_bytes()) == json.loads(there.read_bytes())
    one, other = (json.loads(report.stdout) for report in reports)
    assert one["minimal"] and one["replays"] == other["replays"]
