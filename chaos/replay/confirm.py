"""Whether the violation of a run without a seal is real: the run is executed again, and must show it again.

Nothing in the files of such a run tells one plausible value from another. But the inputs of its nodes determine
everything that they do, and these are in the journals, whose records carry a checksum; in virtual time the schedule
determines them. So the files are compared with what the same code makes of the same inputs.

A run that cannot be executed again (of another system, or one without journals) is judged by its lines alone.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from raft_chaos.chaos.judgement.analysis import Analysis, analyse, undecided
from raft_chaos.chaos.replay.algorithm import refuse_other_algorithm
from raft_chaos.chaos.replay.result import ReplayError
from raft_chaos.chaos.run.settings import settings_of
from raft_chaos.chaos.schedule.data import ScheduleError
from raft_chaos.invariants.rundir import RunDir, RunDirError
from raft_chaos.invariants.seal import damaged
from raft_chaos.invariants.verdict import Verdict


def judge_again(run: RunDir) -> Analysis:
    """Analyses a run directory like `analyse`. An unsealed run is violated only if its re-execution is, too."""
    analysis = analyse(run)
    if analysis.verdict != "violated" or run.load_info().evidence is not None:
        return analysis
    doubt = _doubt(run, {verdict.invariant for verdict in analysis.invariants if verdict.outcome == "violated"})
    if not doubt:
        return analysis
    damage = [f"the violation is not certain, since the run has no seal: {doubt}"]
    invariants = [undecided(verdict) for verdict in analysis.invariants]
    return Analysis("unknown", invariants, [*damage, *analysis.vacuous], analysis.stats, damage)


def undamaged(run: RunDir) -> list[Verdict]:
    """The verdicts of `judge_again`. Raises DamagedError if the files do not tell, RunDirError, ScheduleError."""
    analysis = judge_again(run)
    if analysis.damage:
        raise damaged(run, analysis.damage)
    return analysis.invariants


def _doubt(run: RunDir, violated: set[str]) -> str:
    """Why the re-execution does not confirm that one of the invariants is violated; "" if it does."""
    info = run.load_info()
    try:
        settings_of(run, info)
    except RunDirError:
        return ""  # another system, or the play of an execution
    try:
        refuse_other_algorithm(run, info)
    except RunDirError as error:
        return str(error)
    if info.world != "live":
        return "" if info.trace_sha256 else _other_lines(run)
    if not run.journals():
        return ""
    from raft_chaos.chaos.execution.merge import MergeError
    from raft_chaos.chaos.replay.as_sim import as_sim  # it brings the simulator, and most runs have a seal

    try:
        again = {verdict.invariant for verdict in as_sim(run).verdicts if verdict.outcome == "violated"}
    except (MergeError, ReplayError, RunDirError, ScheduleError) as error:
        return str(error)
    if violated & again:
        return ""
    return f"executed again from its journals, it does not violate {', '.join(sorted(violated))}"


def _other_lines(run: RunDir) -> str:
    """The first file that holds other lines than the run of its schedule; "" if there is none.

    A controller that was killed wrote only the beginning, and may have torn the last line.
    """
    from raft_chaos.chaos.replay.simulated import run_again  # it brings the simulator, too

    with tempfile.TemporaryDirectory(prefix="raft-chaos-replay-") as folder:
        again = RunDir(Path(folder) / "run")
        run_again(run, run.load_info().mutant, again)
        for file in (run.harness, run.history, *(file for files in run.event_files().values() for _, file in files)):
            there = file.read_bytes() if file.exists() else b""
            other = again.path / file.relative_to(run.path)
            if not (other.read_bytes() if other.exists() else b"").startswith(there[: there.rfind(b"\n") + 1]):
                return f"{file} differs from what its schedule gives now"
    return ""
