"""`raft-chaos replay --as sim`: a saved run re-executed as a whole, in one process, with the same verdicts."""

from __future__ import annotations

import shlex
from pathlib import Path

import msgspec
from tabulate import tabulate

from raft_chaos.chaos.cli.arguments import make_folder
from raft_chaos.chaos.cli.common import fail, say
from raft_chaos.chaos.execution.merge import MergeError
from raft_chaos.chaos.replay.as_sim import AsSim, as_sim
from raft_chaos.chaos.replay.result import ReplayError
from raft_chaos.chaos.run.directory import begin
from raft_chaos.chaos.run.settings import EXECUTION, new_run_dir, program
from raft_chaos.chaos.run.sim.recorder import Recorder
from raft_chaos.chaos.schedule.data import ScheduleError
from raft_chaos.chaos.schedule.file import load
from raft_chaos.invariants.rundir import RunDir, RunDirError, RunInfo
from raft_chaos.invariants.verdict import EXIT_CODE, overall
from raft_chaos.reports.text import count, visible


def replay_as_sim(run: RunDir, out: Path | None, *, as_json: bool) -> int:
    """Returns the exit code of a run: 1 if an invariant is violated."""
    try:
        done = as_sim(run) if out is None else _recorded(run, out)
    except (MergeError, ReplayError, RunDirError, ScheduleError) as error:
        fail(str(error))
    verdict = overall(one.outcome for one in done.verdicts)
    if as_json:
        print(msgspec.json.format(msgspec.json.encode(_document(run, done, verdict))).decode())
    else:
        print("\n".join(_told(run, done, verdict)))
    return EXIT_CODE[verdict]


def _recorded(run: RunDir, out: Path) -> AsSim:
    """With a run directory of its own, to be traced, explained and compared like any other."""
    make_folder(out)
    info = run.load_info()
    if info.world != "live":
        fail(f"--out: {run.path} is a run in virtual time already: it is its own re-execution")
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
    kept.save_info(now)
    say(f"recorded in {kept.path}")
    return done


def _told(run: RunDir, done: AsSim, verdict: str) -> list[str]:
    recorded = {one.invariant: one.outcome for one in run.load_info().invariants}
    rows = [
        [
            one.invariant,
            recorded.get(one.invariant, ""),
            one.outcome,
            _why(one.violations[0].message if one.violations else one.reason),
        ]
        for one in done.verdicts
    ]
    lines = [
        tabulate(rows, ["invariant", "recorded", "now", ""], tablefmt="simple", maxcolwidths=[None, None, None, 50]),
        "",
        f"{count(len(done.execution.steps), 'step')} re-executed"
        + (f", {count(done.turns, 'turn')} equal to the recorded ones" if done.turns else ", the same trace"),
        *(f"Note: {visible(remark)}" for remark in done.remarks),
        f"{verdict}: {run.path} as sim, SHA-256 {done.trace_sha256}",
    ]
    return lines


def _why(text: str) -> str:
    return visible(text)


def _document(run: RunDir, done: AsSim, verdict: str) -> dict[str, object]:
    return {
        "verdict": verdict,
        "run_dir": str(run.path),
        "invariants": {one.invariant: one.outcome for one in done.verdicts},
        "recorded": {one.invariant: one.outcome for one in run.load_info().invariants},
        "steps": len(done.execution.steps),
        "turns_equal": done.turns,
        "trace_sha256": done.trace_sha256,
        "remarks": done.remarks,
        "violations": [violation for one in done.verdicts for violation in one.violations],
    }
