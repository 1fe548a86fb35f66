"""Refuses to replay a run whose nodes had another algorithm: the same inputs make them do something else.

A release of the nodes that sends other messages has another number. Its runs are judged and reported as ever, since
their files say what happened; but nothing repeats them.
"""

from __future__ import annotations

from raft_chaos.invariants.rundir import RunDir, RunDirError, RunInfo
from raft_chaos.raft.core import ALGORITHM


def refuse_other_algorithm(run: RunDir, info: RunInfo) -> None:
    """Raises RunDirError for a run of an earlier or a later version, unless its nodes had the same algorithm."""
    if info.algorithm != ALGORITHM:
        made_by = f"commit {info.commit}" if info.commit else "the version that made it"
        raise RunDirError(
            f"{run.path} has nodes of algorithm {info.algorithm}, and this version has algorithm {ALGORITHM}, whose "
            f"nodes send other messages; what was found stands, and {made_by} can replay it"
        )
