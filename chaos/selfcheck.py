"""Is one seed one trace? Each seed is run in separate processes, and the traces must be the same to the last byte.

The processes differ in what must not matter: they hash strings differently (PYTHONHASHSEED), and their clocks, process
numbers and unseeded generators are their own. With lockstep, one more runs the seed with real node processes.

Where two traces differ, both are run again and recorded, and the first event in which they part is looked for. A
trace that differs from itself in a way that the second run does not repeat is reported all the same.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import msgspec

from chaos.settings import Settings, World
from invariants.rundir import RunDir
from invariants.trace import Difference, first_difference

SIM_SIDES: tuple[tuple[World, int], ...] = (("sim", 1), ("sim", 2))
LOCKSTEP_SIDE: tuple[World, int] = ("lockstep", 3)
"""Which world a process runs, and its PYTHONHASHSEED."""


class Job(msgspec.Struct, frozen=True):
    """What a worker is asked for: one seed in one world, recorded in the new directory `run` if there is one."""

    seed: int
    world: World
    run: str | None


class Answer(msgspec.Struct, frozen=True):
    """What came of it. `failed` says why there is no digest: the world diverged by itself, or the harness failed."""

    seed: int
    trace_sha256: str = ""
    stats: dict[str, float | int | str] = {}
    diverged: str = ""
    failed: str = ""


class Side(msgspec.Struct, frozen=True):
    """One of the processes that are compared, and what it answered."""

    name: str
    answer: Answer
    run: str | None = None


class Checked(msgspec.Struct, frozen=True):
    """One seed. `sides` are all that were run; `parted` the two that are not the same, recorded where possible."""

    seed: int
    sides: list[Side]
    parted: tuple[Side, Side] | None = None

    @property
    def is_same(self) -> bool:
        return self.parted is None

    def difference(self) -> Difference | None:
        """Where the recorded runs part; None if they did not part again."""
        assert self.parted is not None
        left, right = (side.run for side in self.parted)
        if left is None or right is None:
            return None
        return first_difference(RunDir(Path(left)).trace(), RunDir(Path(right)).trace())


class Worker:
    """A process of its own that runs seeds one after the other."""

    def __init__(self, settings: Settings, world: World, hash_seed: int) -> None:
        self.world = world
        self.name = f"{world}, PYTHONHASHSEED={hash_seed}"
        self._process = subprocess.Popen(
            [sys.executable, "-m", "chaos.selfcheck_worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONHASHSEED": str(hash_seed)},
            start_new_session=True,  # Ctrl-C is for the controller, which closes the pipe
        )
        self._send(msgspec.json.encode(settings))

    def ask(self, seed: int, run: Path | None) -> None:
        self._send(msgspec.json.encode(Job(seed, self.world, str(run) if run is not None else None)))

    def answer(self) -> Answer:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            return Answer(-1, failed=f"the process of {self.name} ended with code {self._process.wait()}")
        return msgspec.json.decode(line, type=Answer)

    def close(self) -> None:
        """Ends the process: it does so by itself when its pipe is closed, even in the middle of a run."""
        assert self._process.stdin is not None and self._process.stdout is not None
        try:
            self._process.stdin.close()
        except BrokenPipeError:
            pass  # it has ended already
        self._process.stdout.close()
        self._process.wait()

    def _send(self, line: bytes) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(line + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # it has ended, which its answer will tell


class Group:
    """One worker for each side. They work on the same seed at the same time."""

    def __init__(self, settings: Settings, *, lockstep: bool, out: Path) -> None:
        sides = (*SIM_SIDES, LOCKSTEP_SIDE) if lockstep else SIM_SIDES
        self._out = out
        self._workers = [Worker(settings, world, hash_seed) for world, hash_seed in sides]

    def check(self, seed: int) -> Checked:
        """Runs one seed on all sides; where two differ, these again, recorded."""
        sides = self._run(seed, self._workers, recorded=False)
        first = sides[0]
        for place, side in enumerate(sides[1:], 1):
            if _parted(first.answer, side.answer):
                again = self._run(seed, [self._workers[0], self._workers[place]], recorded=True)
                return Checked(seed, sides, (again[0], again[1]))
            if side.run is not None:
                shutil.rmtree(side.run, ignore_errors=True)
        return Checked(seed, sides)

    def close(self) -> None:
        for worker in self._workers:
            worker.close()

    def _run(self, seed: int, workers: list[Worker], *, recorded: bool) -> list[Side]:
        runs: list[Path | None] = []
        for place, worker in enumerate(workers):
            # Real processes need a place for their files in any case.
            run = self._out / f"{seed}-{worker.world}-{place}" if recorded or worker.world == "lockstep" else None
            if run is not None and run.exists():
                shutil.rmtree(run)
            runs.append(run)
            worker.ask(seed, run)
        answers = [worker.answer() for worker in workers]
        return [
            Side(worker.name, answer, str(run) if run is not None and run.exists() else None)
            for worker, answer, run in zip(workers, answers, runs, strict=True)
        ]


def _parted(left: Answer, right: Answer) -> bool:
    return bool(left.failed or right.failed or right.diverged) or left.trace_sha256 != right.trace_sha256


def selfcheck(
    settings: Settings,
    seeds: Iterable[int],
    *,
    lockstep: bool,
    jobs: int,
    out: Path,
    tell: Callable[[Checked], None],
) -> list[Checked]:
    """Checks all seeds, `jobs` processes at a time; `tell` is called with each one, in the order of the seeds.

    Recorded runs of seeds that part are left in `out`.
    """
    groups = max(1, jobs // (3 if lockstep else 2))
    out.mkdir(parents=True, exist_ok=True)
    done: list[Checked] = []
    with ExitStack() as stack:
        idle = [Group(settings, lockstep=lockstep, out=out) for _ in range(groups)]
        for group in idle:
            stack.callback(group.close)

        def check(seed: int) -> Checked:
            group = idle.pop()
            try:
                return group.check(seed)
            finally:
                idle.append(group)

        pool = stack.enter_context(ThreadPoolExecutor(groups))
        stack.callback(pool.shutdown, wait=False, cancel_futures=True)
        for checked in pool.map(check, seeds):
            tell(checked)
            done.append(checked)
    return done
