"""A run directory from its beginning to its end, the same in every world."""

from __future__ import annotations

import errno
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from raft_chaos.chaos.judgement.analysis import Analysis
from raft_chaos.chaos.judgement.vacuity import HARNESS_FAILED, NEVER_BEGAN
from raft_chaos.chaos.processes.shortage import HarnessError, sentence, setup_error, shortage
from raft_chaos.chaos.schedule.data import Schedule
from raft_chaos.chaos.schedule.file import save
from raft_chaos.invariants.rundir import RunDir, RunInfo
from raft_chaos.invariants.seal import seal
from raft_chaos.raft.core import ALGORITHM


def begin(schedule: Schedule, run: RunDir, info: RunInfo) -> None:
    """Writes everything that is known before the run into its directory, which must be empty or not exist yet."""
    run.path.mkdir(parents=True, exist_ok=True)
    if any(run.path.iterdir()):
        raise FileExistsError(errno.EEXIST, "a run directory must be empty", str(run.path))
    for node in schedule.header.nodes:
        run.node(node).mkdir(parents=True)
    run.make_reserve()
    info.algorithm = ALGORITHM
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
    run.reserve.unlink(missing_ok=True)
    return info


def keep_what_failed(run: RunDir, info: RunInfo, error: Exception) -> None:
    """The harness failed. run.json says so; and since it may not happen again, the traceback is kept beside it."""
    info.verdict = info.verdict or "unknown"
    info.vacuous = info.vacuous or [f"the run was cut short: {sentence(error)}"]
    file = run.path / "traceback.log"
    try:
        run.save_info(info)
        file.write_text("".join(traceback.format_exception(error)), encoding="utf-8")
    except OSError:
        return  # not even the reserve is left, or somebody has removed the folder
    error.add_note(f"its traceback is in {file}")


@contextmanager
def failure_marked(run: RunDir, info: RunInfo) -> Iterator[None]:
    """Within the block, any error is one of the harness: run.json then says so, and nothing of the run counts.

    An error that says that the machine ran out of something becomes a HarnessError.
    """
    try:
        yield
    except Exception as error:
        why = NEVER_BEGAN if setup_error(error) else HARNESS_FAILED
        info.verdict, info.invariants, info.vacuous = "unknown", [], [f"{why}: {sentence(error)}"]
        info.state = "failed"
        with suppress(OSError):  # on a full disk run.json still says "running", which is no verdict either
            run.save_info(info)
            run.reserve.unlink(missing_ok=True)
        if shortage(error):
            raise HarnessError(sentence(error)) from error
        raise
