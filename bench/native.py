"""Compares the compiled modules (docs/native.md) with the sources: the same seeds, in two processes, in turn.

Each process imports everything and simulates one short run before it begins to count, and counts its CPU time. Both
print the digest of their last trace: figures of two that did different work would say nothing.
"""

from __future__ import annotations

import os
import subprocess
import sys
from time import process_time

import msgspec

from bench.measures import Bench, Row
from bench.sim import OPS_PER_SECOND, TIMING, heartbeats, short, standard_swarm
from bench.systems import BenchError
from raft_chaos.chaos.processes.compiled import PURE, why_pure
from raft_chaos.chaos.run.nodes.memory_driver import MemoryDriver
from raft_chaos.chaos.run.sim.run import VirtualRun
from raft_chaos.chaos.schedule.data import Schedule
from raft_chaos.raft.server.parts import Parts

IS_INSTALLED = not why_pure()
SIDES = ("compiled", "sources")


class _Figures(msgspec.Struct):
    """Simulated seconds in a CPU second, and the digests of the traces."""

    heartbeats: float
    swarm: float
    traces: str


def measure(bench: Bench) -> list[Row]:
    """The rows of `python -m bench --only native`; each round has another seed."""
    if not IS_INSTALLED:
        raise BenchError(f"nothing to compare with the sources: {why_pure()}; `make native` builds it")
    rows = [
        Row("heartbeats alone: simulated s/s", [], [], more_is_better=True),
        Row(f"swarm, {OPS_PER_SECOND:g} commands/s: simulated s/s", [], [], more_is_better=True),
    ]
    for seed in range(1, bench.sizes.rounds + 1):
        compiled, sources = (_in_a_process(seed, bench.sizes.simulated_s, pure=pure) for pure in (False, True))
        if compiled.traces != sources.traces:
            raise BenchError(f"seed {seed}: the traces differ; `raft-chaos selfcheck --native` shows where")
        for row, ours, theirs in zip(
            rows, (compiled.heartbeats, compiled.swarm), (sources.heartbeats, sources.swarm), strict=True
        ):
            row.ours.append(ours)
            row.theirs.append(theirs)
    return rows


def _in_a_process(seed: int, simulated_s: float, *, pure: bool) -> _Figures:
    environment = {**os.environ, PURE: "1" if pure else ""}
    words = [sys.executable, "-m", "bench.native", str(seed), str(simulated_s)]
    done = subprocess.run(words, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        raise BenchError(f"seed {seed} failed: {done.stderr.strip()[-500:]}")
    return msgspec.json.decode(done.stdout, type=_Figures)


def _figures(schedule: Schedule) -> tuple[float, str]:
    """Simulated seconds in a CPU second, and the digest of the trace."""
    run = VirtualRun(schedule, timing=TIMING, driver=MemoryDriver(Parts()))
    began = process_time()
    result = run.go()
    return float(result.analysis.stats["simulated_s"]) / (process_time() - began), result.trace_sha256


def _main(seed: int, simulated_s: float) -> None:
    _figures(short(seed))
    idle, idle_trace = _figures(heartbeats(seed, simulated_s))
    swarm, swarm_trace = _figures(standard_swarm(seed, simulated_s))
    print(msgspec.json.encode(_Figures(idle, swarm, idle_trace + swarm_trace)).decode())


if __name__ == "__main__":
    _main(int(sys.argv[1]), float(sys.argv[2]))
