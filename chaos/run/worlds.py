"""One run in the world that its settings name. That world alone is imported: each brings what the others do without."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING

from raft_chaos.chaos.run.settings import Settings
from raft_chaos.chaos.schedule.data import Schedule
from raft_chaos.invariants.rundir import RunDir, RunInfo

if TYPE_CHECKING:
    from raft_chaos.chaos.run.live.progress import Watch


def run_in_world(
    settings: Settings,
    plan: Schedule,
    directory: RunDir,
    info: RunInfo,
    *,
    fail_fast: bool = False,
    watch: Watch | None = None,
) -> RunInfo:
    """Carries out the schedule in a new run directory; returns the finished run.json.

    `watch` observes a run in real time. Raises SetupError if the run cannot begin, HarnessError if the harness fails.
    """
    if settings.world == "sim":
        from raft_chaos.chaos.run.sim.world import run_sim

        return run_sim(
            plan,
            settings.timing,
            settings.mutant,
            directory,
            info,
            fail_fast=fail_fast,
            max_events=settings.max_events,
        )
    if settings.world == "lockstep":
        from raft_chaos.chaos.run.lockstep.run import run_lockstep

        return run_lockstep(
            plan,
            settings.timing,
            settings.mutant,
            directory,
            info,
            fail_fast=fail_fast,
            peer_auth=settings.peer_auth,
            max_events=settings.max_events,
        )
    from raft_chaos.chaos.run.live.run import run_live
    from raft_chaos.chaos.targets.certificate_folders import temporary

    with temporary(plan.header.nodes) if settings.tls else nullcontext() as certificates:
        return run_live(
            plan,
            settings.target(certificates),
            directory,
            info,
            fail_fast=fail_fast,
            watch=watch,
            peer_auth=settings.peer_auth,
            certificates=certificates,
            max_events=settings.max_events,
        )
