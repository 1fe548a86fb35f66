"""The saved runs of a folder, and the names by which a command takes one: a path, `latest`, or a name's beginning."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from raft_chaos.chaos.cli import complete
from raft_chaos.chaos.cli.common import fail
from raft_chaos.invariants.regular_file import read_regular
from raft_chaos.invariants.rundir import RunDir, RunDirError, RunInfo

LATEST = "latest"
RUNS = Path("runs")
SETTLED_S = 10.0
"""A run that says that it goes on, and has written nothing for so long, does not: its controller was killed."""
NAMED_MOST = 3


@dataclass(frozen=True)
class SavedRun:
    """A run directory. `info` is None if run.json cannot be read; then `trouble` says why."""

    path: Path
    info: RunInfo | None
    trouble: str
    changed_s: float

    @property
    def started(self) -> tuple[str, float]:
        """Orders runs by their beginning."""
        return (self.info.started_at if self.info is not None else "", self.changed_s)

    @property
    def says_it_goes_on(self) -> bool:
        return self.info is not None and self.info.state == "running"


def runs_folder() -> Path:
    """Where `run` saves: `out` in the configuration of this folder, or runs."""
    import tomllib  # most commands get the path of a run

    for file, section in (("raft-chaos.toml", ()), ("pyproject.toml", ("tool", "raft-chaos"))):
        try:
            table: Any = tomllib.loads(read_regular(Path(file), 1 << 20).decode())
        except (OSError, ValueError, RecursionError):
            continue  # `run` says what is wrong with it
        for part in section:
            table = table.get(part) if isinstance(table, dict) else None
        if isinstance(table, dict) and isinstance(out := table.get("out"), str):
            return Path(out)
        if not section:
            break
    return RUNS


def saved_runs(folder: Path) -> list[SavedRun]:
    """The runs in a folder, newest first. A link to a folder is not followed. Raises OSError."""
    return sorted(_found(folder), key=lambda run: run.started, reverse=True)


def _found(folder: Path) -> Iterator[SavedRun]:
    with os.scandir(folder) as entries:
        for entry in entries:
            path = folder / entry.name
            if entry.is_dir(follow_symlinks=False) and is_run(path):
                try:
                    info, trouble = RunDir(path).load_info(), ""
                except RunDirError as error:
                    info, trouble = None, str(error)
                yield SavedRun(path, info, trouble, entry.stat(follow_symlinks=False).st_mtime)


class _Mark(msgspec.Struct):
    """What the run.json of every version has."""

    seed: int
    world: str
    state: str
    repro: str


class _Header(msgspec.Struct):
    """The same of a schedule's first line."""

    kind: str
    seed: int
    nodes: list[str]


def is_run(path: Path) -> bool:
    """Whether a directory is a run: it has our run.json, or a schedule of ours if that is damaged."""
    run = RunDir(path)
    return _is(run.run_json, _Mark, whole=True) or _is(run.schedule, _Header, whole=False)


def _is(file: Path, shape: type[msgspec.Struct], *, whole: bool) -> bool:
    try:
        if not stat.S_ISREG(file.lstat().st_mode):
            return False
        raw = read_regular(file)
        found = msgspec.json.decode(raw if whole else raw.partition(b"\n")[0], type=shape)
    except (OSError, ValueError, RecursionError):
        return False
    return not isinstance(found, _Header) or found.kind == "schedule"


def size_bytes(path: Path) -> int:
    """The size of all files below a directory."""
    return sum(one.st_size for one in _stats(path) if stat.S_ISREG(one.st_mode))


def _stats(path: Path) -> Iterator[os.stat_result]:
    """Of the directory and of all that is below it; links are not followed."""
    for folder, folders, names in os.walk(path):
        for name in (*folders, *names, "."):
            try:
                yield Path(folder, name).lstat()
            except OSError:
                continue  # it is gone


# ---- runs that go on ---------------------------------------------------------------------------------------------


class Ongoing:
    """Says which runs go on: those with a file that a process has open to write it, and those that still change."""

    def __init__(self) -> None:
        self._open: list[tuple[str, Path]] | None = None

    def __contains__(self, run: SavedRun) -> bool:
        return run.says_it_goes_on and self.writes(run.path)

    def writes(self, path: Path) -> bool:
        """Whether a process has this file, or one below this directory, open to write it, or changed it just now."""
        if self._open is None:
            self._open = list(_open_files())
        real = os.path.realpath(path)
        settled_s = time.time() - SETTLED_S
        return any(
            (name == real or name.startswith(f"{real}/")) and _is_for_writing(info) for name, info in self._open
        ) or any(one.st_mtime > settled_s for one in (*_stats(path), path.lstat()))


def _open_files() -> Iterator[tuple[str, Path]]:
    """The files that processes of this user have open, and where the kernel says how; root sees those of all."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            for link in (process / "fd").iterdir():
                yield str(link.readlink()), process / "fdinfo" / link.name
        except OSError:
            continue  # it has ended, or it is somebody else's


def _is_for_writing(info: Path) -> bool:
    """Whoever shows a run has its files open, too, but only to read them."""
    try:
        flags = next(line for line in info.read_text(encoding="utf-8").splitlines() if line.startswith("flags:"))
    except (OSError, StopIteration):
        return False
    return bool(int(flags.split()[1], 8) & os.O_ACCMODE)


# ---- names -------------------------------------------------------------------------------------------------------


def resolved(name: Path) -> Path:
    """The path of a run that is named by its path, as `latest`, or by the beginning of its name.

    A name that fits no run stays as it is: whoever reads it says what is wrong with it.
    """
    if len(name.parts) != 1 or name.exists() or name.is_symlink():
        return name
    folder = runs_folder()
    try:
        runs = saved_runs(folder)
    except OSError:
        return name
    if str(name) == LATEST:
        if not runs:
            fail(f"{LATEST}: there is no run in {folder}")
        return runs[0].path
    names = [run.path for run in runs]
    fitting = [path for path in names if path.name == str(name)] or [
        path for path in names if path.name.startswith(str(name))
    ]
    if len(fitting) > 1:
        more = f", and {len(fitting) - NAMED_MOST} more" if len(fitting) > NAMED_MOST else ""
        named = ", ".join(path.name for path in fitting[:NAMED_MOST])
        fail(f"{name}: {len(fitting)} runs in {folder} begin with it: {named}{more}; give more of the name")
    return fitting[0] if fitting else name


def resolve(context: typer.Context, given: Any) -> Any:
    """The same for an argument of typer: one name, several, or none."""
    if context.resilient_parsing or given is None:
        return given
    return [resolved(one) for one in given] if isinstance(given, list) else resolved(given)


def _names() -> list[str]:
    try:
        return [LATEST, *(run.path.name for run in saved_runs(runs_folder()))]
    except OSError:
        return []


HELP = "A run directory, the beginning of its name, or latest."
offered = complete.among(_names)

RunPath = Annotated[Path, typer.Argument(metavar="RUN", help=HELP, callback=resolve, autocompletion=offered)]


def known_nodes(run: RunDir, wanted: list[str]) -> list[str]:
    """The nodes given as --node, which must be nodes of the run. Raises RunDirError if the directory is no run."""
    there = run.load_info().nodes
    for node in wanted:
        if node not in there:
            fail(f"--node: {node!r} is no node of {run.path}; there are {', '.join(there)}")
    return wanted
