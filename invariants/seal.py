"""The seal of a finished run: size and SHA-256 of each of its evidence files, in run.json.

    seal(run)                  made at the end of a run
    changed(run, info)         what differs from the seal now, a sentence for each file
    stamp(run, info)           the same again means that nothing was written since

Evidence is what a verdict rests on: the schedule, the history, the events, their order, and what a replay reads. A
report that is written later is no evidence, and may be written again. A run whose controller was killed has no seal.

run.json itself has a digest of the rest of its content, whether the run is sealed or not. Earlier versions wrote none.

Two files beside a node's log are no evidence, since nothing reads them: `raft.wal.synced`, by which the node itself
tells damage to its log from a torn tail, and `identity.json`. A replay starts from the journal, and takes from the log
only the bytes that the journal says were there.

The seal guards against accidents (a full disk, a copy that went wrong, an editor), not against forgery: whoever can
change a file can also change run.json.
"""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import TypeAlias

from raft_chaos.invariants.rundir import RunDir, RunInfo, SealedFile, content_sha256

EVIDENCE = (
    "schedule.jsonl",
    "history.jsonl",
    "harness.jsonl",
    "order",
    "nodes/*/events-*.jsonl",
    "nodes/*/journal-*",
    "nodes/*/data/raft.wal",
    "nodes/*/data/raft.snapshot",
    "nodes/*/undamaged.wal",
)
"""The evidence files, as patterns of paths in the run directory. The last two are read only by replays."""


Stamp: TypeAlias = tuple[tuple[int, int, int] | None, ...]
"""Of each file and folder its inode, time of the last change in ns and size; None if it is not there."""


class DamagedError(Exception):
    """The files of a run are damaged, so nothing that rests on them is certain. The message names the files."""


def seal(run: RunDir) -> dict[str, SealedFile]:
    """The evidence files that the directory has now, by path. Raises OSError if one cannot be read."""
    there = _evidence(run)
    return {name: SealedFile(path.stat().st_size, _sha256(path)) for name, path in there.items() if path.is_file()}


def changed(run: RunDir, info: RunInfo) -> list[str]:
    """How run.json differs from its digest, and the evidence from the seal: files that changed, are missing or were
    added. Raises RunDirError if run.json cannot be read."""
    if changed_itself := _of_run_json(run):
        return [changed_itself]
    if info.evidence is None:
        return []
    present = _evidence(run)
    differences = [_difference(name, sealed, present.get(name)) for name, sealed in sorted(info.evidence.items())]
    added = [f"{name}: was added after the run had ended" for name in present if name not in info.evidence]
    return [difference for difference in differences if difference] + added


def stamp(run: RunDir, info: RunInfo) -> Stamp:
    """Of run.json and the sealed files, and of their folders, which change when a file is added. Reads no content."""
    names = sorted(info.evidence or ())
    folders = {str(folder) for name in ("nodes", *names) for folder in PurePosixPath(name).parents}
    return tuple(_stamp(run.path / name) for name in ("run.json", "nodes", *sorted(folders), *names))


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.lstat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size


def refuse_changed(run: RunDir) -> None:
    """Raises DamagedError if the run is sealed and its evidence has changed, RunDirError if it is no run."""
    if differences := changed(run, run.load_info()):
        raise damaged(run, differences)


def damaged(run: RunDir, damage: Sequence[str]) -> DamagedError:
    """The error for a run with this damage."""
    return DamagedError(f"{run.path}: unknown, since its files are damaged: {'; '.join(damage)}")


def _of_run_json(run: RunDir) -> str:
    """How run.json differs from its own digest, in a sentence; "" if it does not."""
    content = run.content()
    digest = content.get("sha256")
    if digest is None:
        # An earlier version wrote no digest, but no field either that this one does not know.
        unknown = sorted(set(content) - set(RunInfo.__struct_fields__))
        return f"run.json: has no digest, but an unknown field {unknown[0]!r}" if unknown else ""
    try:
        return "" if digest == content_sha256(content) else "run.json: has other content than when it was written"
    except OverflowError:
        return "run.json: has a number that nothing writes"


def _evidence(run: RunDir) -> dict[str, Path]:
    """The evidence files there are, by their path in the directory, sorted."""
    found = {path.relative_to(run.path).as_posix(): path for pattern in EVIDENCE for path in run.path.glob(pattern)}
    return dict(sorted(found.items()))


def _difference(name: str, sealed: SealedFile, path: Path | None) -> str:
    """How the file differs from the sealed one, in a sentence; "" if it does not."""
    if path is None:
        return f"{name}: is missing; it was there when the run ended"
    try:
        there = path.stat()
        if not stat.S_ISREG(there.st_mode):
            return f"{name}: is no regular file any more"
        if there.st_size != sealed.size:
            return f"{name}: has {there.st_size} bytes; it had {sealed.size} when the run ended"
        return "" if _sha256(path) == sealed.sha256 else f"{name}: has other content than when the run ended"
    except OSError as error:
        return f"{name}: cannot be read ({error.strerror})"


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
