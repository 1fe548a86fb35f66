"""How much CPU time each command takes before its work begins, beside an interpreter that does nothing, in turn; and
the memory of a node.

A command's work begins where it makes its run, opens the first file of a saved one, or starts its first process:
`start_probe` ends it there. Commands that only print are measured to their end. Modules are compiled before, into a
folder of the benchmark, as they are on the machine of whoever has used the command once.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from time import sleep
from typing import NamedTuple

import psutil

from bench.http import HOST
from bench.measures import Bench, Row
from bench.start_probe import BEGUN
from bench.systems import BenchError

NODES = 3
STEADY = 10
"""How often a resident set is looked at within a second."""
PRINTS = ("--version", "--help", "run --help", "faults", "mutants", "targets", "matrix --dry-run", "completion bash")
FAILING = "run --world sim --seed 5 --nodes 3 --mutant vote_not_persisted"


class Begins(NamedTuple):
    """A command, and where its work begins (see `start_probe`). {valid} and {violated} are saved runs."""

    words: str
    where: str


BEGIN = (
    Begins("run --world sim", "raft_chaos.chaos.run.sim.world:run_sim"),
    Begins("run --world sim --seeds 1..9", "raft_chaos.chaos.campaign.campaign:Campaign"),
    Begins("run --world lockstep", "raft_chaos.chaos.run.lockstep.run:run_lockstep"),
    Begins("run", "raft_chaos.chaos.run.live.run:run_live"),
    Begins("selfcheck --seeds 1..9", "raft_chaos.chaos.campaign.selfcheck:Selfcheck"),
    Begins("explore", "raft_chaos.chaos.exploration.exploration:Exploration"),
    Begins("effects", "raft_chaos.chaos.campaign.effects:measure_all"),
    Begins("runs --in {folder}", "{folder}"),
    Begins("serve {folder}", "raft_chaos.chaos.processes.supervisor:Supervisor"),
    Begins("check {valid}", "{valid}"),
    Begins("report {valid}", "{valid}"),
    Begins("explain {violated}", "{violated}"),
    Begins("trace {valid}", "{valid}"),
    Begins("diff {valid} {violated}", "{valid}"),
    Begins("replay {valid}", "{valid}"),
    Begins("shrink {violated}", "{violated}"),
    Begins("cluster", "raft_chaos.chaos.processes.supervisor:Supervisor"),
    Begins("node --name n1 --data {folder}", "raft_chaos.raft.server.node:Node"),
)


def measure(bench: Bench) -> list[Row]:
    """The rows of `python -m bench --only start`: ms of CPU time, and MiB."""
    folder = bench.new_folder()
    folder.mkdir()
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    one = _Starts(folder, environment | {"PYTHONPYCACHEPREFIX": str(bench.new_folder())})
    valid, violated = one.saved("run --world sim --seed 1"), one.saved(FAILING)
    places = {"folder": str(valid.parent), "valid": str(valid), "violated": str(violated)}
    rows: dict[str, tuple[list[str], int]] = {f"raft-chaos {words}": (_words(words), 0) for words in PRINTS}
    for words, where in BEGIN:
        probe = ["-m", "bench.start_probe", where.format_map(places), *words.format_map(places).split()]
        rows[f"raft-chaos {_shown(words)}"] = (probe, BEGUN)
    for argv, code in rows.values():
        one.cpu_ms(argv, code)  # compiles
    measured = [Row(f"{name}: ms", [], [], more_is_better=False) for name in rows]
    for number in range(bench.sizes.rounds):
        for row, (argv, code) in zip(measured, rows.values(), strict=True):
            sides = [(row.ours, argv, code), (row.theirs, ["-c", "pass"], 0)]
            for figures, side, ends in sides if number % 2 == 0 else reversed(sides):
                figures.append(one.cpu_ms(side, ends))
    return [*measured, _memory(one, bench.sizes.rounds)]


def _shown(words: str) -> str:
    return re.sub(r"\{valid\}|\{violated\}|\{folder\}", lambda found: "DIR" if found[0] == "{folder}" else "RUN", words)


def _words(words: str) -> list[str]:
    return ["-c", "from raft_chaos.chaos.cli.entry import main; main()", *words.split()]


class _Starts:
    """Starts interpreters, all in one environment."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self._folder, self._environment = folder, environment
        self._numbers = count(1)

    def saved(self, words: str) -> Path:
        """Makes a run, and returns its directory."""
        out = self._folder / f"runs-{next(self._numbers)}"
        done = subprocess.run(
            [sys.executable, *_words(words), "--quiet", "--out", str(out)], env=self._environment, capture_output=True
        )
        if done.returncode not in (0, 1):
            raise BenchError(f"raft-chaos {words}: {done.stderr.decode(errors='replace')}")
        return next(out.iterdir())

    def cpu_ms(self, argv: list[str], code: int) -> float:
        """The CPU time of an interpreter that ends with this exit code."""
        process = self.started(argv)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != code:
            raise BenchError(f"python {' '.join(argv)} ended with exit code {process.returncode}, not with {code}")
        return 1000 * (used.ru_utime + used.ru_stime)

    def started(self, argv: list[str], stderr: int = subprocess.DEVNULL) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, *argv],
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
        )


def _memory(one: _Starts, rounds: int) -> Row:
    """The resident set of the largest node of a cluster that has elected a leader, beside that of an interpreter."""
    row = Row("a node of a cluster: resident set, MiB", [], [], more_is_better=False)
    for _ in range(rounds):
        with _cluster(one) as pids:
            row.ours.append(max(psutil.Process(pid).memory_info().rss for pid in pids) / 2**20)
        process = one.started(["-c", "import signal; signal.pause()"])
        try:
            row.theirs.append(_settled(process.pid) / 2**20)
        finally:
            process.kill()
            process.wait()
    return row


@contextmanager
def _cluster(one: _Starts) -> Iterator[list[int]]:
    """A plain cluster; the processes of its nodes."""
    ports = ["--http-port", "18001", "--raft-port", "19001", "--host", HOST]
    words = ["cluster", "--nodes", str(NODES), *ports]
    process = one.started([*_words(""), *words], subprocess.PIPE)
    assert process.stderr is not None
    try:
        said, pids = b"", []
        for line in process.stderr:
            said += line
            pids += [int(pid) for pid in re.findall(rb"\(pid (\d+)\)", line)]
            if len(pids) == NODES:
                break
        else:
            raise BenchError(f"the cluster did not start: {said.decode(errors='replace')}")
        for pid in pids:
            _settled(pid)
        yield pids
    finally:
        process.terminate()
        process.wait()
        process.stderr.close()


def _settled(pid: int) -> int:
    """The resident set (bytes), once it has been the same for a second."""
    process, seen = psutil.Process(pid), [0]
    while len(seen) <= STEADY or len({*seen[-STEADY:]}) > 1:
        sleep(1 / STEADY)
        seen.append(process.memory_info().rss)
    return seen[-1]
