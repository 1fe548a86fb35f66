"""A run directory from its beginning to its end, the same in every world."""

from __future__ import annotations

from contextlib import suppress

from raft_chaos.chaos.judgement.analysis import Analysis
from raft_chaos.chaos.judgement.vacuity import HARNESS_FAILED
from raft_chaos.chaos.schedule.data import Schedule
from raft_chaos.chaos.schedule.file import save
from raft_chaos.invariants.rundir import RunDir, RunInfo
from raft_chaos.invariants.seal import seal


def begin(schedule: Schedule, run: RunDir, info: RunInfo) -> None:
    """Makes the directory and writes everything that is known before the run. It must not exist yet."""
    run.path.mkdir(parents=True, exist_ok=False)
    for node in schedule.header.nodes:
        run.node(node).mkdir(parents=True)
    save(schedule, run.schedule)
    run.save_info(info)


def finish(run: RunDir, info: RunInfo, analysis: Analysis, *, trace_sha256: str = "") -> RunInfo:
    """Completes run.json with the verdict and the numbers of the run, and seals the evidence."""
    info.verdict, info.invariants, info.vacuous = analysis.verdict, analysis.invariants, analysis.vacuous
    info.stats, info.state = analysis.stats, "finished"
    if trace_sha256:
        info.trace_sha256 = trace_sha256
    info.evidence = seal(run)
    run.save_info(info)
    return info


def harness_failed(run: RunDir, info: RunInfo, why: str) -> None:
    """Completes run.json of a run in which the harness itself failed: nothing of it counts."""
    info.verdict, info.invariants, info.vacuous = "unknown", [], [f"{HARNESS_FAILED}: {why}"]
    info.state = "failed"
    with suppress(OSError):  # on a full disk run.json still says "running", which is no verdict either
        run.save_info(info)
