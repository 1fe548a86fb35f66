"""A process of `chaos.selfcheck`: reads settings, then jobs, from its standard input, and answers each with a line.

It ends when its standard input does, in the middle of a run if need be: whoever asked is gone, or wants no more.
"""

from __future__ import annotations

import os
import queue
import sys
import threading
from pathlib import Path

import msgspec

from chaos.analysis import Stats
from chaos.lockstep.gate import DivergenceError
from chaos.lockstep.run import run_lockstep
from chaos.mutants import parts_of
from chaos.selfcheck import Answer, Job
from chaos.settings import Settings, describe
from chaos.sim.memory_driver import MemoryDriver
from chaos.sim.run import VirtualRun
from chaos.sim.world import run_sim
from invariants.rundir import RunDir


def main() -> None:
    lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(lines,), daemon=True).start()
    settings = msgspec.json.decode(lines.get(), type=Settings)
    while True:
        answer = _answer(settings, msgspec.json.decode(lines.get(), type=Job))
        sys.stdout.buffer.write(msgspec.json.encode(answer) + b"\n")
        sys.stdout.buffer.flush()


def _read(lines: queue.SimpleQueue[bytes]) -> None:
    for line in sys.stdin.buffer:
        lines.put(line)
    os._exit(0)  # nodes in processes of their own are ended by their reaper


def _answer(settings: Settings, job: Job) -> Answer:
    try:
        trace_sha256, stats = _run(settings, job)
    except DivergenceError as error:
        return Answer(job.seed, diverged=str(error))
    except Exception as error:
        return Answer(job.seed, failed=f"{type(error).__name__}: {error}")
    return Answer(job.seed, trace_sha256, stats)


def _run(settings: Settings, job: Job) -> tuple[str, Stats]:
    """The digest and the numbers of one run."""
    schedule = settings.make_schedule(job.seed)
    if job.run is None:
        driver = MemoryDriver(parts_of(settings.mutant))
        unrecorded = VirtualRun(schedule, timing=settings.timing, driver=driver).go()
        return unrecorded.trace_sha256, unrecorded.analysis.stats
    run = RunDir(Path(job.run))
    info = describe(msgspec.structs.replace(settings, world=job.world), job.seed, schedule, run)
    if job.world == "lockstep":
        info = run_lockstep(schedule, settings.timing, settings.mutant, run, info)
    else:
        info = run_sim(schedule, settings.timing, settings.mutant, run, info)
    return info.trace_sha256, info.stats


if __name__ == "__main__":
    main()
