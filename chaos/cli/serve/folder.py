"""The folder that is shown: its runs, campaigns and explorations, and the files of a run.

Names come from outside, and what stands in a run directory may be anybody's. So a name is one part of a path, a file is
opened part by part from the folder's own descriptor, and a symbolic link on the way is refused, wherever it leads.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from raft_chaos.chaos.cli.read.run_names import SavedRun, is_run
from raft_chaos.invariants.regular_file import open_regular
from raft_chaos.invariants.rundir import RunDir, RunDirError
from raft_chaos.reports.html.files import ListedFile

MOST_FILES = 5_000
SECRET = "secrets"
"""The folder of a run that has the secret of its nodes while it goes on."""
EVIDENCE = ("run.json", "schedule.jsonl", "history.jsonl", "harness.jsonl", "order", "nodes")
CAMPAIGN = re.compile(r"campaign-[0-9a-z-]+\.jsonl")
EXPLORATION = re.compile(r"explore-[0-9a-f]{12}")
JOURNAL = "journal.jsonl"


class NotThereError(Exception):
    """There is nothing of that name that is shown. The message says what was asked for."""


@dataclass(frozen=True)
class _Known:
    """What was read of a run, as long as its run.json stays the same."""

    signature: tuple[int, ...]
    run: SavedRun


class Folder:
    """The folder at `path`. Raises OSError if it cannot be read."""

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        self._fd = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._known: dict[str, _Known] = {}

    def close(self) -> None:
        os.close(self._fd)

    # ---- files ----------------------------------------------------------------------------------------------------

    def open(self, *parts: str) -> int:
        """The descriptor of a regular file, below the folder. Raises NotThereError."""
        if not parts or any(part in ("", ".", "..", SECRET) or "/" in part or "\0" in part for part in parts):
            raise NotThereError("/".join(parts))
        folder = os.dup(self._fd)
        try:
            for part in parts[:-1]:
                following = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
                os.close(folder)
                folder = following
            file = open_regular(parts[-1], within=folder, follow=False)
        except (OSError, ValueError) as error:
            raise NotThereError("/".join(parts)) from error
        finally:
            os.close(folder)
        if self._is_hidden(os.fstat(file), parts[0]):
            os.close(file)
            raise NotThereError("/".join(parts))
        return file

    def _is_hidden(self, status: os.stat_result, run: str) -> bool:
        """Whether a file of that run is for its owner alone, unless the whole run is."""
        try:
            return _is_private(status) and not _is_private((self.path / run / "run.json").lstat())
        except OSError:
            return True

    def files(self, name: str) -> tuple[list[ListedFile], bool]:
        """The files of a run that are shown, by their paths, and whether these are all."""
        run = self.run(name).path
        found: list[ListedFile] = []
        for folder, folders, names in os.walk(run):
            folders[:] = sorted(one for one in folders if one != SECRET)
            for one in sorted(names):
                path = Path(folder, one)
                status = path.lstat()
                if not stat.S_ISREG(status.st_mode) or self._is_hidden(status, name):
                    continue
                if len(found) == MOST_FILES:
                    return found, False
                found.append(ListedFile(path=str(path.relative_to(run)), size_bytes=status.st_size))
        return found, True

    # ---- runs -----------------------------------------------------------------------------------------------------

    def run(self, name: str) -> SavedRun:
        """The run of that name. Raises NotThereError."""
        path = self._child(name)
        try:
            status = path.lstat()
            signature = _signature(path)
        except (OSError, ValueError):
            raise NotThereError(name) from None
        if not stat.S_ISDIR(status.st_mode):
            raise NotThereError(name)
        known = self._known.get(name)
        if known is None or known.signature != signature:
            if not is_run(path):
                raise NotThereError(name)
            known = self._known[name] = _Known(signature, _read(path, status.st_mtime))
        return known.run

    def runs(self) -> list[SavedRun]:
        """All runs, newest first. Raises OSError."""
        found = []
        for name in self._names():
            try:
                found.append(self.run(name))
            except NotThereError:
                self._known.pop(name, None)
        there = {run.path.name for run in found}
        self._known = {name: known for name, known in self._known.items() if name in there}
        return sorted(found, key=lambda run: run.started, reverse=True)

    # ---- campaigns and explorations -------------------------------------------------------------------------------

    def campaigns(self) -> list[str]:
        """The names of the files of campaigns, the one that changed last first."""
        return self._latest_first(CAMPAIGN, self.campaign)

    def campaign(self, name: str) -> Path:
        """The file of that campaign. Raises NotThereError."""
        path = self._child(name)
        if not CAMPAIGN.fullmatch(name) or path.is_symlink() or not path.is_file():
            raise NotThereError(name)
        return path

    def explorations(self) -> list[str]:
        """The names of the folders of explorations, the one that changed last first."""
        return self._latest_first(EXPLORATION, self.exploration)

    def exploration(self, name: str) -> Path:
        """The journal of that exploration. Raises NotThereError."""
        folder = self._child(name)
        path = folder / JOURNAL
        if not EXPLORATION.fullmatch(name) or folder.is_symlink() or path.is_symlink() or not path.is_file():
            raise NotThereError(name)
        return path

    def _latest_first(self, pattern: re.Pattern[str], find: Callable[[str], Path]) -> list[str]:
        found: list[tuple[float, str]] = []
        for name in filter(pattern.fullmatch, self._names()):
            with suppress(NotThereError, OSError):
                found.append((find(name).lstat().st_mtime, name))
        return [name for _, name in sorted(found, reverse=True)]

    def _names(self) -> list[str]:
        with os.scandir(self._fd) as entries:
            return [entry.name for entry in entries]

    def _child(self, name: str) -> Path:
        if name in ("", ".", "..") or "/" in name or "\0" in name:
            raise NotThereError(name)
        return self.path / name


def refuse_links(run: Path) -> None:
    """Raises RunDirError if what a report is made of is not all in the run directory itself."""
    for path in _evidence(run):
        if path.is_symlink():
            raise RunDirError(f"{path.relative_to(run.parent)} is a symbolic link, which is not followed here")


def _evidence(run: Path) -> Iterator[Path]:
    """The directory, and all in it that a report may be made of."""
    yield run
    yield from (run / name for name in EVIDENCE)
    for node in (run / "nodes").glob("*"):
        yield node
        yield from node.glob("*")
        yield node / "data" / "raft.wal"


def _is_private(status: os.stat_result) -> bool:
    """Whether the file is for its owner alone, as keys are. Whoever asks may be another user of this machine."""
    return not status.st_mode & 0o044


def _signature(run: Path) -> tuple[int, ...]:
    """Changes when run.json does. A run without one has the changes of its directory."""
    try:
        status = (run / "run.json").lstat()
    except FileNotFoundError:
        status = run.lstat()
    return status.st_ino, status.st_mtime_ns, status.st_size


def _read(path: Path, changed_s: float) -> SavedRun:
    try:
        info, trouble = RunDir(path).load_info(), ""
    except RunDirError as error:
        info, trouble = None, str(error)
    return SavedRun(path, info, trouble, changed_s)
