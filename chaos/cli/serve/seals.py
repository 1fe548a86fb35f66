"""Which runs of the list are damaged: the seal of a run is checked once, and again when something of it has changed.

To check a seal is to read all evidence. So one request for the list checks runs for `CHECKING_S` at the most, and the
next one goes on; a run that waits for its turn says so.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from raft_chaos.chaos.cli.read.run_names import SavedRun
from raft_chaos.chaos.cli.serve.folder import refuse_links
from raft_chaos.invariants.rundir import RunDir, RunDirError, RunInfo
from raft_chaos.invariants.seal import Stamp, changed, stamp

CHECKING_S = 0.5


@dataclass(frozen=True)
class _Checked:
    """What a check found, for as long as the run keeps this stamp."""

    stamp: Stamp
    damage: Sequence[str]


class Seals:
    """The seals of the runs of one folder, as they were checked last."""

    def __init__(self) -> None:
        self._checked: dict[Path, _Checked] = {}

    def damage(self, runs: Iterable[SavedRun]) -> dict[Path, Sequence[str] | None]:
        """For each run what is damaged, a sentence each; None if it has not been checked yet.

        A run whose run.json cannot be read has no seal to check, and one that goes on has none yet.
        """
        until_s = time.monotonic() + CHECKING_S
        known: dict[Path, _Checked] = {}
        found: dict[Path, Sequence[str] | None] = {}
        for run in runs:
            if run.info is None or run.says_it_goes_on:
                found[run.path] = ()
                continue
            now, checked = stamp(RunDir(run.path), run.info), self._checked.get(run.path)
            if checked is None or checked.stamp != now:
                checked = _Checked(now, _damage(run.path, run.info)) if time.monotonic() < until_s else None
            if checked is not None:
                known[run.path] = checked
            found[run.path] = None if checked is None else checked.damage
        self._checked = known
        return found


def _damage(path: Path, info: RunInfo) -> Sequence[str]:
    try:
        refuse_links(path)
        return changed(RunDir(path), info)
    except RunDirError as error:
        return [str(error)]
