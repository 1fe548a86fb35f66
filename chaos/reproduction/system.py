"""The system of somebody else in which a failure was found: how it is named and started, and which files it was.

A reproduction carries the text of a target's file, or the digest of a class's file, and the digests of all files that
the command names. So anybody can see whether it is the same system now. A changed file is told, and not refused: people
mend their system and run the file again.
"""

from __future__ import annotations

import inspect
import shlex
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import msgspec

from raft_chaos.chaos.faults.abilities import Ability
from raft_chaos.chaos.run.settings import Settings
from raft_chaos.chaos.schedule.config import ScheduleConfig
from raft_chaos.chaos.schedule.data import Header
from raft_chaos.chaos.targets import class_names, command_lines, description
from raft_chaos.chaos.targets.find import STDIO, find
from raft_chaos.chaos.targets.version import version_of
from raft_chaos.invariants.regular_file import read_regular
from raft_chaos.raft.state.timing import Timing


class Rate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """In how many of how many runs the invariant was violated."""

    violated: int
    runs: int

    def __str__(self) -> str:
        return f"{self.violated}/{self.runs}"


class SystemFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file of the system, as the target or its command names it, and its digest (hexadecimal)."""

    path: str
    sha256: str


class System(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The system, with the options of `run` that choose it: `target` or `command`, `network` and `disk`.

    `name` is what reports call it, `version` its own or that of the package that offers it, if it has one. `text` is
    that of the target's file, "" for another kind of target. `before` is the rate of the whole schedule, `rate` that of
    the one in the file; None if it was not measured.
    """

    name: str
    target: str | None = None
    command: str | None = None
    network: str | None = None
    version: str = ""
    can: list[Ability] = []
    text: str = ""
    files: list[SystemFile] = []
    before: Rate | None = None
    rate: Rate | None = None
    disk: str | msgspec.UnsetType = msgspec.UNSET  # files from before it existed keep their checksum

    def settings(self, timing: Timing, header: Header) -> Settings:
        """The settings with which `raft-chaos run` would run a schedule with that header, which is saved."""
        given = {
            "--target": self.target,
            "--target-command": self.command,
            "--network": self.network,
            "--disk": self.disk or None,
        }
        range_ms = f"{timing.election_timeout_min_us // 1000}-{timing.election_timeout_max_us // 1000}"
        options = ["--election-timeout", range_ms, "--heartbeat", str(timing.heartbeat_us // 1000)]
        options += [word for option, value in given.items() if value is not None for word in (option, value)]
        config = ScheduleConfig(nodes=max(3, len(header.nodes)), clients=len(header.clients), can=tuple(self.can))
        return Settings(
            world="live",
            schedule=config,
            timing=timing,
            command=self.command,
            foreign=self.target,
            network=self.network,
            disk=self.disk or None,
            schedule_file="schedule.jsonl",
            options=options,
        )

    def measured(self, before: Rate, rate: Rate | None) -> System:
        """The same, with these rates."""
        return msgspec.structs.replace(self, before=before, rate=rate)


def system_of(settings: Settings) -> System:
    """The system of these settings, as it is now. Raises TargetError for one that is not there any more."""
    target, name = settings.target(), settings.foreign
    text = Path(name).read_text(encoding="utf-8") if name is not None and _is_described(name) else ""
    return System(
        name=target.name,
        target=name,
        command=settings.command,
        network=settings.network,
        disk=settings.disk or msgspec.UNSET,
        version=version_of(name),
        can=list(settings.schedule.can or ()),
        text=text,
        files=[SystemFile(str(file), digest) for file in _files(settings) if (digest := _digest(file))],
    )


def on_this_machine(system: System, folder: Path) -> tuple[System, list[str]]:
    """The system as it can be run here, and what is not as it was when the failure was found, a sentence each.

    A target's file that is not there is made of its text, in `folder`. Raises TargetError for a system that is not
    there.
    """
    told, here = [], system
    if system.text and system.target is not None and not Path(system.target).exists():
        file = folder / Path(system.target).name
        file.write_text(system.text, encoding="utf-8")
        told.append(f"{system.target} is not there; its text in the reproduction is used")
        here = msgspec.structs.replace(system, target=str(file))
    find(Timing(), command=here.command, name=here.target, network=here.network, disk=here.disk or None)
    return here, [*told, *_changes(system if here is system else _without_its_file(system))]


def _without_its_file(system: System) -> System:
    return msgspec.structs.replace(system, files=[file for file in system.files if file.path != system.target])


def _changes(system: System) -> list[str]:
    told = []
    for file in system.files:
        now = _digest(Path(file.path))
        if now != file.sha256:
            what = f"has changed (SHA-256 {now[:12]})" if now else "is not there"
            told.append(f"{file.path} {what}; the failure was found with SHA-256 {file.sha256[:12]}")
    if system.version and (now := version_of(system.target)) != system.version:
        told.append(f"{system.target} is version {now or 'unknown'}; the failure was found with {system.version}")
    return told


def _files(settings: Settings) -> Iterator[Path]:
    """The target's file or that of its class, and the files that the command's words name."""
    name, words = settings.foreign, settings.command or ""
    if name is not None and _is_described(name):
        yield Path(name)
        said = description.load(Path(name)).words
        beside = command_lines.found_beside(said, Path(name).parent)
        yield from [Path(_shown(beside[0]))] if beside[0] != said[0] else []
        yield from _named(beside)
    elif name is not None and not name.startswith(STDIO):
        yield Path(_shown(inspect.getfile(class_names.load(name))))
    else:
        yield from _named(shlex.split(name.removeprefix(STDIO) if name is not None else words))


def _named(words: list[str] | tuple[str, ...]) -> Iterator[Path]:
    """The files among the words of a command, without a program of the machine's, such as /usr/bin/python3."""
    for place, word in enumerate(words):
        if "{" not in word and Path(word).is_file() and (place > 0 or not Path(word).is_absolute()):
            yield Path(_shown(word))


def _shown(file: str) -> str:
    """The path from the working folder, if the file is below it."""
    here = Path(file).resolve()
    return str(here.relative_to(Path.cwd())) if here.is_relative_to(Path.cwd()) else str(here)


def _digest(file: Path) -> str:
    """The SHA-256 of the file; "" if it cannot be read."""
    try:
        return sha256(read_regular(file)).hexdigest()
    except OSError:
        return ""


def _is_described(name: str) -> bool:
    return not name.startswith(STDIO) and name.endswith(".toml")
