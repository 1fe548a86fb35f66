"""A harness that runs out of something fails, in one sentence, and says nothing about the cluster."""

from __future__ import annotations

import asyncio
import errno
import os
import re
import resource
import subprocess
import sys
from pathlib import Path
from typing import NoReturn, cast

import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey

from builders.commands import RAFT_CHAOS, only_run
from builders.schedules import fault, saved, schedule
from raft_chaos.chaos.faults.process import Kill
from raft_chaos.chaos.judgement.analysis import analyse
from raft_chaos.chaos.processes.shortage import HarnessError
from raft_chaos.chaos.run.live.disk.disk import missing
from raft_chaos.chaos.run.live.line_file import LineFile
from raft_chaos.chaos.targets.door import NoAnswer
from raft_chaos.chaos.targets.our_api import HttpDoor
from raft_chaos.chaos.targets.session import AiohttpSession

SCRIPT = Path(__file__).with_name("starved_run.py")
SHELF = Path(__file__).parents[4] / "examples" / "shelf.toml"
FAILED = "raft-chaos itself failed; this says nothing about the system under test: "


@pytest.mark.live
@pytest.mark.parametrize(
    ("part", "said"),
    [
        ("proxy", "the proxy between the nodes failed: it ran out of open files"),
        ("history", "history.jsonl cannot be written: the harness ran out of room in a file"),
        pytest.param("nodes", r"CRITICAL the node has too little of something: OSError\(27, ", marks=pytest.mark.slow),
        pytest.param("controller", "ran out of open files: this process may have no more", marks=pytest.mark.slow),
    ],
)
def test_a_part_that_runs_out_of_something_ends_the_run_without_a_verdict(tmp_path: Path, part: str, said: str) -> None:
    kill = fault("f1", 900_000, Kill(["leader"], [0]), 100_000)
    plan = saved(tmp_path, schedule([kill], safety_us=(700_000, 12_000_000)))
    fails_without_a_verdict(tmp_path, part, said, "--schedule", str(plan))


@pytest.mark.slow
@pytest.mark.live
@pytest.mark.parametrize(
    ("part", "said"),
    [("disks", r"the disk of n\d failed: it ran out of open files"), ("dead_disks", r"the disk of n\d is gone")],
)
def test_a_lossy_disk_in_trouble_ends_the_run_without_a_verdict(tmp_path: Path, part: str, said: str) -> None:
    """The nodes cannot reach their data, end, and answer their clients whatever they like: they are not to blame."""
    if (why := missing()) is not None:
        pytest.skip(why)
    plan = ["--target", str(SHELF), "--disk", "lossy", "--seed", "2", "--faults", "kill", "--duration", "20"]
    fails_without_a_verdict(tmp_path, part, said, *plan)
    assert not list((tmp_path / "out").glob("*/nodes/*/removed"))


def fails_without_a_verdict(tmp_path: Path, part: str, said: str, *plan: str) -> None:
    words = ["run", *plan, "--out", str(tmp_path / "out"), "--quiet"]
    done = subprocess.run([sys.executable, SCRIPT, part, *words], capture_output=True, text=True, timeout=60)
    assert done.returncode == 255, done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith(FAILED) and re.search(said, line)
    run = only_run(tmp_path / "out")
    info = run.load_info()
    assert (info.state, info.verdict, info.invariants) == ("failed", "unknown", [])
    (why,) = info.vacuous
    assert why.startswith("the harness failed: ") and why.removeprefix("the harness failed: ") in line
    analysis = analyse(run)
    assert analysis.verdict == "unknown" and info.vacuous[0] in analysis.vacuous
    assert {verdict.outcome for verdict in analysis.invariants} == {"unknown"}


@pytest.mark.live
@pytest.mark.parametrize(("nodes", "limit"), [("5", 64), ("20", 1024)])
def test_a_run_that_needs_more_open_files_than_allowed_is_refused(tmp_path: Path, nodes: str, limit: int) -> None:
    """Before anything is announced."""
    words = ["run", "--seed", "5", "--nodes", nodes, "--out", str(tmp_path / "out")]
    done = limited(resource.RLIMIT_NOFILE, limit, *words)
    assert done.returncode == 254, done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"raft-chaos: a run of {nodes} nodes and 5 clients needs ")
    assert f"open files in its proxy, and the system allows {limit}: raise the limit (`ulimit -n " in line
    assert not any((tmp_path / "out").iterdir()), "nothing is begun"


@pytest.mark.slow
@pytest.mark.live
def test_a_run_in_lockstep_is_refused_too(tmp_path: Path) -> None:
    words = ["run", "--world", "lockstep", "--nodes", "5", "--out", str(tmp_path / "out"), "--quiet"]
    done = limited(resource.RLIMIT_NOFILE, 64, *words)
    assert done.returncode == 254 and done.stderr.startswith(
        "raft-chaos: a run of 5 nodes in lockstep needs 148 open files in its controller, and the system allows 64: "
    )


@pytest.mark.live
@pytest.mark.parametrize("world", ["sim", pytest.param("lockstep", marks=pytest.mark.slow)])
def test_a_full_disk_in_virtual_time_is_no_end_of_a_node(tmp_path: Path, world: str) -> None:
    words = ["run", "--world", world, "--seed", "1", "--duration", "5", "--out", str(tmp_path / "out"), "--quiet"]
    done = limited(resource.RLIMIT_FSIZE, 300_000, *words)
    assert done.returncode == 255, done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith(FAILED)
    info = only_run(tmp_path / "out").load_info()
    assert (info.state, info.verdict, info.invariants) == ("failed", "unknown", [])
    (why,) = info.vacuous
    assert why.startswith("the harness failed: ") and why.removeprefix("the harness failed: ") in line


def limited(what: int, limit: int, *words: str) -> subprocess.CompletedProcess[str]:
    """The command under this limit, soft and hard."""
    return subprocess.run(
        [RAFT_CHAOS, *words],
        capture_output=True,
        text=True,
        timeout=60,
        preexec_fn=lambda: resource.setrlimit(what, (limit, limit)),
    )


def test_a_file_that_could_not_be_written_takes_no_more_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind half a line, a later one would be damage that nobody could tell from a mistake of a node."""
    file = LineFile(tmp_path / "history.jsonl")
    file.write(b"first\n")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (10, before[1]))
        with pytest.raises(HarnessError, match=r"history\.jsonl cannot be written: the harness ran out of room in a"):
            file.write(b"second\n")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    with pytest.raises(HarnessError, match="cannot be written"):
        file.write(b"third\n")
    file.close()
    assert (tmp_path / "history.jsonl").read_bytes() == b"first\nseco"


class DeadSession:
    """Of aiohttp: every request fails with this error."""

    def __init__(self, number: int) -> None:
        self._error = OSError(number, os.strerror(number))

    def request(self, *_: object, **__: object) -> NoReturn:
        raise aiohttp.ClientConnectorError(
            ConnectionKey("127.0.0.1", 1, False, True, None, None, None),
            self._error,
        )


def test_a_client_without_files_is_no_silent_node() -> None:
    def ask(number: int) -> object:
        door = HttpDoor(AiohttpSession(cast(aiohttp.ClientSession, DeadSession(number))), list, knows_repeats=True)
        return asyncio.run(door.ask("http://127.0.0.1:1", b"", 1))

    assert ask(errno.ECONNREFUSED) == NoAnswer(False, "cannot connect: Connection refused")
    with pytest.raises(HarnessError, match=r"the harness ran out of open files.*its clients cannot ask the nodes"):
        ask(errno.EMFILE)


REAPER = """
import psutil
from raft_chaos.chaos.processes.supervisor import ProcessError, Supervisor

if __name__ == "__main__":
    with Supervisor() as supervisor:
        supervisor.check()
        mine = psutil.Process()
        (reaper,) = [p for p in mine.children() if any(word.endswith("reaper.py") for word in p.cmdline())]
        reaper.kill()
        psutil.wait_procs([reaper])
        for act in (supervisor.check, lambda: supervisor.start("n1", print)):
            try:
                act()
            except ProcessError as error:
                assert str(error) == "the reaper, which ends what a killed run leaves behind, ended by itself", error
            else:
                raise AssertionError("it did not notice")
"""


@pytest.mark.live
def test_the_end_of_the_reaper_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(REAPER)
    done = subprocess.run([sys.executable, tmp_path / "script.py"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
