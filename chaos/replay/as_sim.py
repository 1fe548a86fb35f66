"""Re-executes a saved run in `sim` as one execution. It gives the same verdicts, and always repeats.

The execution of a live run comes from its journals (`chaos.execution.merge`). A run in virtual time is run again from
its schedule, and its execution is recorded.
"""

from __future__ import annotations

from dataclasses import dataclass

from raft_chaos.chaos.execution.merge import Merge
from raft_chaos.chaos.execution.recording import record
from raft_chaos.chaos.execution.steps import Execution
from raft_chaos.chaos.mutants import parts_of
from raft_chaos.chaos.replay.algorithm import refuse_other_algorithm
from raft_chaos.chaos.replay.node import replay_run
from raft_chaos.chaos.replay.result import ReplayError
from raft_chaos.chaos.replay.simulated import failed_fast
from raft_chaos.chaos.run.pace import of_schedule
from raft_chaos.chaos.run.settings import settings_of
from raft_chaos.chaos.run.sim.recorder import LineSink
from raft_chaos.chaos.schedule.file import load
from raft_chaos.invariants.rundir import RunDir
from raft_chaos.invariants.trace import digest
from raft_chaos.invariants.verdict import Verdict


@dataclass(frozen=True)
class AsSim:
    """The result. `turns` is the number of recorded turns that were equal; `remarks` name what the journals lack."""

    execution: Execution
    verdicts: list[Verdict]
    turns: int
    trace_sha256: str
    remarks: list[str]


def as_sim(run: RunDir, sink: LineSink | None = None) -> AsSim:
    """Re-executes the whole cluster in this process. For a live run, the lines of the new run go to `sink`.

    Raises MergeError if the journals do not fit together, ReplayError if the run differs from the recording, and
    RunDirError or ScheduleError if a file cannot be used.
    """
    info = run.load_info()
    refuse_other_algorithm(run, info)
    settings = settings_of(run, info)
    parts = parts_of(info.mutant)
    if info.world == "live":
        # First each node by itself: this also compares the events, and shows a difference best.
        if differences := replay_run(run, parts).differences:
            first = differences[0]
            raise ReplayError(
                f"{run.path}: {first.node}, incarnation {first.incarnation}, diverges from the recording; "
                "raft-chaos replay shows where"
            )
        merged = Merge(run, of_schedule(settings.timing, load(run.schedule).header), parts, sink).go()
        played = merged.played
        return AsSim(merged.execution, played.verdicts, merged.turns, played.trace_sha256, merged.remarks)
    simulated, execution = record(
        load(run.schedule), settings.timing, parts, fail_fast=failed_fast(run), max_events=settings.max_events
    )
    if info.trace_sha256 != simulated.trace_sha256 != digest(run.trace())[0]:
        raise ReplayError(
            f"{run.path}: its trace was {info.trace_sha256}, but is {simulated.trace_sha256} now; "
            "raft-chaos replay shows the first difference"
        )
    return AsSim(execution, simulated.analysis.invariants, 0, simulated.trace_sha256, [])
