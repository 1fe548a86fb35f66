"""Checks the arguments that define a run. A failed check names the option and ends with exit code 254."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from raft_chaos.chaos.cli.common import close_to, fail, no_such
from raft_chaos.chaos.cli.run import configuration
from raft_chaos.chaos.faults.abilities import OF_NETWORK, Abilities
from raft_chaos.chaos.faults.catalogue import KINDS, VIRTUAL_KINDS
from raft_chaos.chaos.mutants import MUTANTS
from raft_chaos.chaos.run.settings import WORLDS, World
from raft_chaos.chaos.schedule.config import ScheduleConfig
from raft_chaos.chaos.schedule.data import Schedule, ScheduleError
from raft_chaos.chaos.schedule.file import load
from raft_chaos.chaos.schedule.fitting import lacking, too_slow
from raft_chaos.chaos.targets.certificates import missing
from raft_chaos.chaos.targets.find import find
from raft_chaos.chaos.targets.protocol import Target, TargetError
from raft_chaos.raft.state.timing import Timing

DECIDES_NOTHING = ("--jobs", "--max-failures", "--time-limit")
GIVEN_IN_REPRO = (
    *DECIDES_NOTHING,
    "--json",
    "--quiet",
    "--fail-fast",
    "--repeat",
    "--out",
    "--seed",
    "--seeds",
    "--schedule",
    "--config",
    "--dry-run",
    "--verbose",
)

LISTED = 8
"""How many of the things that a target lacks one message lists."""

OPTION_OF = {
    "warmup_s": "--warmup",
    "duration_s": "--duration",
    "liveness_s": "--liveness",
    "ops_per_second": "--rate",
    "fault_interval_s": "--fault-interval",
    "election_timeout_us_max": "--election-timeout",
}
"""The options for the fields of a ScheduleConfig, where the option is not --field."""


def chosen_target(
    mutant: str | None, command: str | None, name: str | None, network: str | None, timing: Timing
) -> Target:
    """The target that the options choose: our own Raft, one of its mutants, or a system of somebody else."""
    if mutant is not None and mutant not in MUTANTS:
        no_such("--mutant", mutant, MUTANTS)
    foreign = [option for option, value in (("--target-command", command), ("--target", name)) if value is not None]
    if mutant is not None and foreign:
        fail(f"--mutant and {foreign[0]} exclude each other: a mutant is our own Raft")
    if len(foreign) > 1:
        fail("--target and --target-command exclude each other: a command is the shortest form of a target")
    if network is not None and not foreign:
        fail("--network: only the target of somebody else has a choice; our own Raft speaks frames")
    if network is not None and network not in OF_NETWORK:
        no_such("--network", network, OF_NETWORK)
    try:
        return find(timing, mutant=mutant, command=command, name=name, network=network)
    except TargetError as error:
        fail(f"{foreign[0] if foreign else '--mutant'}: {error}")


def known_world(world: str) -> World:
    for known in WORLDS:
        if world == known:
            return known
    no_such("--world", world, WORLDS)


def check_world(world: World, target: Target, swarm: bool | None) -> None:
    if world != "live" and "events" not in target.can:
        fail(f"--world: only our own Raft runs in virtual time; leave out --world {world} for {target.name}")
    if world == "live" and swarm:
        fail("--swarm draws faults that only virtual time has; give --world sim or --world lockstep with it")


def check_peer_auth(world: World, target: Target, peer_auth: bool) -> None:
    if peer_auth and world == "sim":
        fail("--peer-auth: nodes in sim have no connections, so no handshake; give --world live or lockstep with it")
    if peer_auth and "events" not in target.can:
        fail(f"--peer-auth: only our own Raft has this handshake; leave it out for {target.name}")


def check_tls(world: World, target: Target, tls: bool) -> None:
    if not tls:
        return
    if world != "live":
        fail(f"--tls: in the world {world} the harness carries each message itself; leave out --tls or --world {world}")
    if "events" not in target.can:
        fail(f"--tls: the harness makes certificates for our own Raft only; leave it out for {target.name}")
    if lacks := missing():
        fail(f"--tls: {lacks}")


def fault_kinds(faults: str | None, world: World, can: Abilities) -> tuple[str, ...]:
    """The kinds of faults that a run draws from: those that the world has and a target with these abilities suffers."""
    there = tuple(name for name, kind in KINDS.items() if kind.in_live) if world == "live" else VIRTUAL_KINDS
    possible = tuple(kind for kind in there if KINDS[kind].exists(can))
    if faults is None:
        if not possible:
            fail("the target can suffer no fault: it keeps no data, cannot be paused, and its network breaks no links")
        return possible
    chosen = tuple(kind.strip() for kind in faults.split(",") if kind.strip())
    for kind in chosen:
        if kind not in there:
            near = close_to(kind, possible)
            hint = f"did you mean {near!r}?" if near else f"expected some of {', '.join(possible)}"
            fail(f"--faults: {kind!r} is unknown in the world {world}; {hint}")
        if kind not in possible:
            fail(f"--faults: the target cannot do {kind!r}; expected some of {', '.join(possible)}")
    if not chosen:
        fail(f"--faults: expected some of {', '.join(possible)}; without faults a run shows nothing, got {faults!r}")
    return chosen


def schedule_config(**fields: Any) -> ScheduleConfig:
    if fields["ops_per_second"] == 0:
        fail("--rate: expected more than 0; without client operations a run shows nothing, got 0")
    try:
        return ScheduleConfig(**fields)
    except ScheduleError as error:
        field, _, wrong = str(error).partition(":")
        fail(f"{OPTION_OF.get(field, f'--{field}')}:{wrong}")


def saved_schedule(schedule: Path | None, world: World, timing: Timing, can: Abilities) -> Schedule | None:
    if schedule is None:
        return None
    try:
        saved = load(schedule)
    except ScheduleError as error:
        fail(f"--schedule: {error}")
    if missing := lacking(saved, can):
        listed = "; ".join(missing[:LISTED]) + (f"; and {len(missing) - LISTED} more" if len(missing) > LISTED else "")
        fail(f"--schedule: {schedule}: the target cannot do what this schedule asks for: {listed}")
    if world == "live":
        for fault in saved.faults:
            if not fault.action.in_live:
                fail(
                    f"--schedule: {schedule}: fault {fault.id} is a {fault.action.kind()}, which the world live "
                    "does not have; give --world sim or --world lockstep"
                )
    elif slow := too_slow(saved, timing.election_timeout_min_us):
        fail(f"--schedule: {schedule}: {slow}")
    return saved


def make_folder(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        fail(f"--out: cannot make run directories in {out} ({error.strerror})")


def given_options(context: typer.Context) -> list[str]:
    """The options that define a run, given or from a file, as words of a command line."""
    words: list[str] = []
    for parameter in context.command.params:
        source = context.get_parameter_source(parameter.name or "")
        option = parameter.opts[0]
        if source is None or source.name == "DEFAULT" or option in GIVEN_IN_REPRO:
            continue
        words += configuration.words(parameter, context.params[parameter.name or ""])
    # A file may change or vanish; what it said stands in these words.
    return [*words, "--config", configuration.NONE] if configuration.CONFIG in context.meta else words
