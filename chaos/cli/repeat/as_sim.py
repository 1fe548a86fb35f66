"""`raft-chaos replay --as sim`: re-executes a whole saved run in one process, with the same verdicts."""

from __future__ import annotations

import shlex
from pathlib import Path

from raft_chaos.chaos.cli.arguments import make_folder
from raft_chaos.chaos.cli.common import fail, say
from raft_chaos.chaos.cli.result import Result
from raft_chaos.chaos.cli.width import columns
from raft_chaos.chaos.execution.merge import MergeError
from raft_chaos.chaos.replay.as_sim import AsSim, as_sim
from raft_chaos.chaos.replay.result import ReplayError
from raft_chaos.chaos.run.directory import begin
from raft_chaos.chaos.run.settings import EXECUTION, new_run_dir, program
from raft_chaos.chaos.run.sim.recorder import Recorder
from raft_chaos.chaos.schedule.data import ScheduleError
from raft_chaos.chaos.schedule.file import load
from raft_chaos.invariants.rundir import RunDir, RunDirError, RunInfo
from raft_chaos.invariants.seal import DamagedError, refuse_changed, seal
from raft_chaos.invariants.verdict import EXIT_CODE, EXIT_UNKNOWN, overall
from raft_chaos.reports.commands.verdicts import ReExecuted, re_executed_document, re_executed_page


def replay_as_sim(run: RunDir, out: Path | None, *, as_json: bool) -> Result:
    """The exit codes are those of `run`: 1 if an invariant is violated."""
    try:
        refuse_changed(run)
        done = as_sim(run) if out is None else _recorded(run, out)
    except DamagedError as error:
        return Result(EXIT_UNKNOWN, notes=[f"raft-chaos: {error}"])
    except (MergeError, ReplayError, RunDirError, ScheduleError) as error:
        fail(str(error))
    re_executed = ReExecuted(
        run=run.path,
        recorded=run.load_info().invariants,
        invariants=done.verdicts,
        steps=len(done.execution.steps),
        turns=done.turns,
        trace_sha256=done.trace_sha256,
        remarks=done.remarks,
    )
    page, document = re_executed_page(re_executed, columns()), re_executed_document(re_executed)
    return Result(EXIT_CODE[re_executed.verdict], page, document, as_json, judged=True)


def _recorded(run: RunDir, out: Path) -> AsSim:
    """Re-executes with a run directory, which `trace`, `explain` and `diff` read like any other."""
    make_folder(out)
    info = run.load_info()
    if info.world != "live":
        fail(f"--out: {run.path} is already a run in virtual time: its re-execution is the same run")
    kept = new_run_dir(out, info.seed)
    again = shlex.join([program(), "replay", str(run.path), "--as", "sim"])
    now = RunInfo(
        seed=info.seed,
        world="sim",
        target=EXECUTION,
        mutant=info.mutant,
        nodes=info.nodes,
        config=info.config,
        repro=again,
    )
    begin(load(run.schedule), kept, now)
    recorder = Recorder(kept)
    try:
        done = as_sim(run, recorder)
    finally:
        recorder.close()
    now.verdict = overall(one.outcome for one in done.verdicts)
    now.invariants, now.trace_sha256, now.state = done.verdicts, done.trace_sha256, "finished"
    now.versions, now.commit, now.started_at = info.versions, info.commit, info.started_at
    now.evidence = seal(kept)
    kept.save_info(now)
    say(f"recorded in {kept.path}")
    return done
