"""Whole runs in virtual time, and their results."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from builders.schedules import TIMING
from raft_chaos.chaos.mutants import parts_of
from raft_chaos.chaos.run.lockstep.run import run_lockstep
from raft_chaos.chaos.run.nodes.memory_driver import MemoryDriver
from raft_chaos.chaos.run.sim.run import Simulated, VirtualRun
from raft_chaos.chaos.run.sim.world import run_sim
from raft_chaos.chaos.schedule.data import Schedule
from raft_chaos.invariants.events import AnyEvent, Event
from raft_chaos.invariants.history import Op
from raft_chaos.invariants.rundir import RunDir, RunInfo
from raft_chaos.raft.server.parts import Parts

T = TypeVar("T")


def virtual(plan: Schedule, parts: Parts | None = None, *, fail_fast: bool = False) -> VirtualRun:
    """A run that has not begun."""
    return VirtualRun(plan, timing=TIMING, driver=MemoryDriver(parts or Parts()), fail_fast=fail_fast)


def in_sim(plan: Schedule, mutant: str | None = None) -> Simulated:
    return virtual(plan, parts_of(mutant)).go()


def recorded_run(plan: Schedule, folder: Path, mutant: str | None = None) -> RunDir:
    run = RunDir(folder / "run")
    run_sim(
        plan, TIMING, mutant, run, RunInfo(seed=plan.header.seed, world="sim", mutant=mutant, nodes=plan.header.nodes)
    )
    return run


def unsealed(run: RunDir) -> RunDir:
    """The same run as an earlier version left it, without a list of its files."""
    info = run.load_info()
    info.evidence = None
    run.save_info(info)
    return run


def harness_of(plan: Schedule) -> list[AnyEvent]:
    """The harness's events in a run of the schedule."""
    run = virtual(plan)
    run.go()
    return run.trace.harness_events


def in_lockstep(schedule: Schedule, folder: Path, mutant: str | None = None, *, peer_auth: bool = False) -> RunInfo:
    run, info = RunDir(folder / "run"), RunInfo(seed=schedule.header.seed, nodes=schedule.header.nodes)
    return run_lockstep(schedule, TIMING, mutant, run, info, peer_auth=peer_auth)


def of(kind: type[T], events: Sequence[AnyEvent | Op | Event]) -> list[T]:
    return [event for event in events if isinstance(event, kind)]
