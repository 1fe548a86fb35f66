"""The settings of a run: everything that decides its schedule and its target, beside the seed."""

from __future__ import annotations

import platform
import shlex
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import msgspec

from raft_chaos.chaos import mutants
from raft_chaos.chaos.faults.abilities import OURS
from raft_chaos.chaos.processes.compiled import why_pure
from raft_chaos.chaos.processes.shortage import SetupError, shortage
from raft_chaos.chaos.run.pace import pace_of
from raft_chaos.chaos.run.world import World
from raft_chaos.chaos.schedule.config import ScheduleConfig
from raft_chaos.chaos.schedule.data import Schedule
from raft_chaos.chaos.schedule.generate import generate
from raft_chaos.chaos.targets.certificates import Certificates
from raft_chaos.chaos.targets.find import find
from raft_chaos.chaos.targets.protocol import Target
from raft_chaos.invariants.rundir import RunDir, RunDirError, RunInfo
from raft_chaos.raft.state.timing import Timing

EXECUTION = "execution"
"""The target of a directory that records the play of an execution, not a run of a schedule."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The options of `raft-chaos run`. `options` are the given command-line options, as text, for the command that
    repeats the run; `foreign` names the system of somebody else (`chaos.targets.find`); `schedule_file` replaces the
    schedule that the seed would give. With `peer_auth` the nodes prove to each other that they know a secret.
    `max_events` replaces the usual bound of a run's events (`chaos.run.bounds`)."""

    world: World = "live"
    schedule: ScheduleConfig
    timing: Timing
    mutant: str | None = None
    command: str | None = None
    foreign: str | None = None
    network: str | None = None
    disk: str | None = None
    tls: bool = False
    schedule_file: str | None = None
    peer_auth: bool = False
    max_events: int | None = None
    options: list[str] = []

    def target(self, certificates: Certificates | None = None) -> Target:
        """The target; with TLS its connections use these certificates."""
        return find(
            self.timing,
            mutant=self.mutant,
            command=self.command,
            name=self.foreign,
            network=self.network,
            disk=self.disk,
            certificates=certificates,
        )

    @property
    def other_system(self) -> str | None:
        """The name or command of the system of somebody else; None for our own Raft."""
        return self.command or self.foreign

    def make_schedule(self, seed: int) -> Schedule:
        """The seed's schedule. This is a pure function; the command line loads a saved schedule instead."""
        return generate(seed, self.schedule)

    def plan(self, seed: int, saved: Schedule | None) -> Schedule:
        """The seed's own schedule; or the saved one under this seed, from which timers and links are drawn."""
        if saved is None:
            return self.make_schedule(seed)
        return msgspec.structs.replace(saved, header=msgspec.structs.replace(saved.header, seed=seed))


def new_run_dir(out: Path, seed: int) -> RunDir:
    """A new, empty directory, named by the time and the seed. No other process gets the same one.

    Raises SetupError if the folder may not be written to.
    """
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
    out.mkdir(parents=True, exist_ok=True)
    for number in count(1):
        path = out / (f"{stamp}-{seed}" if number == 1 else f"{stamp}-{seed}-{number}")
        try:
            path.mkdir()
            break
        except FileExistsError:
            continue
        except OSError as error:
            if shortage(error):
                raise
            raise SetupError(
                f"--out: cannot make a run directory in {out} ({error.strerror}); let it be written to, or name another"
            ) from error
    return RunDir(path)


def was_scheduled(info: RunInfo) -> bool:
    """Whether a run of a schedule made the directory: then the schedule says what happened."""
    return info.target != EXECUTION


def refuse_execution(run: RunDir, info: RunInfo) -> None:
    """Raises RunDirError for a directory that no run of a schedule made."""
    if not was_scheduled(info):
        raise RunDirError(
            f"{run.path} records the play of an execution, not a run; go back to where it is from: {info.repro}"
        )


def saved_settings(run: RunDir, info: RunInfo) -> Settings:
    """The settings of a past run of any system. Raises RunDirError for one that no schedule made."""
    refuse_execution(run, info)
    try:
        settings = msgspec.convert(info.config, Settings)
    except (msgspec.ValidationError, ValueError) as error:
        raise RunDirError(f"{run.run_json}: config: {error}") from None
    if info.mutant is not None and info.mutant not in (*mutants.MUTANTS, *mutants.SABOTAGES):
        raise RunDirError(
            f"{run.run_json}: mutant: there is no {info.mutant!r} in this version; "
            f"there are {', '.join(mutants.MUTANTS)}"
        )
    return settings


def settings_of(run: RunDir, info: RunInfo) -> Settings:
    """The settings of a past run of our own Raft. Raises RunDirError for one that no schedule made, or of another
    system."""
    settings = saved_settings(run, info)
    if (other := settings.other_system) is not None:
        raise RunDirError(
            f"{run.path} is a run of another system ({other!r}); only our own Raft can be run step by step"
        )
    return settings


def describe(settings: Settings, seed: int, schedule: Schedule, run: RunDir) -> RunInfo:
    """run.json at the beginning of a run."""
    target = settings.target()
    return RunInfo(
        seed=seed,
        world=settings.world,
        target=target.name,
        reports_events="events" in target.can,
        can=list(settings.schedule.can or ()),
        pace=pace_of(settings.timing, schedule) if target.can == OURS else None,
        mutant=settings.mutant,
        started_at=datetime.now(UTC).isoformat(timespec="seconds"),
        commit=commit(),
        versions=versions(settings.foreign),
        nodes=schedule.header.nodes,
        config=msgspec.to_builtins(settings),
        repro=repro(settings, seed, run),
    )


def repro(settings: Settings, seed: int, run: RunDir) -> str:
    """The command that repeats the run: from its seed alone, or from its saved schedule."""
    words = [program(), "run", "--seed", str(seed), *settings.options]
    if settings.schedule_file is not None:
        words += ["--schedule", str(run.schedule)]
    return shlex.join(words)


def program() -> str:
    """`raft-chaos`, or its path as called if the shell does not find it: users copy and run the printed commands."""
    return "raft-chaos" if shutil.which("raft-chaos") or not sys.argv[0].endswith("raft-chaos") else sys.argv[0]


def commit() -> str | None:
    """The commit of the source tree that this runs from; None outside of one."""
    here = Path(__file__).parent
    try:
        result = subprocess.run(
            ["git", "-C", str(here), "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True, timeout=5
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return result.stdout.strip() or None


def versions(foreign: str | None = None) -> dict[str, str]:
    """The versions of Python, the system, the packages that a run depends on, and the `foreign` target."""
    from importlib import metadata  # it brings the parser of mails, and most commands make no run.json

    names = ("raft-chaos", "msgspec", "aiohttp", "psutil")
    found = {"python": platform.python_version(), "system": f"{platform.system()} {platform.release()}"}
    for name in names:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue  # running from a source tree that is not installed
    if not why_pure():
        found["raft-chaos-native"] = metadata.version("raft-chaos-native")
    if foreign is not None:
        from raft_chaos.chaos.targets.version import version_of  # our own Raft needs no target's description

        if said := version_of(foreign):
            found["target"] = said
    return found
