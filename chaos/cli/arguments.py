"""Checks the arguments that define a run. A failed check names the option and ends with exit code 254."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from raft_chaos.chaos.cli.common import fail
from raft_chaos.chaos.faults.catalogue import FAULT_KINDS, KINDS, LIVE_KINDS
from raft_chaos.chaos.mutants import MUTANTS
from raft_chaos.chaos.run.settings import WORLDS, World
from raft_chaos.chaos.schedule.config import ScheduleConfig
from raft_chaos.chaos.schedule.data import Schedule, ScheduleError
from raft_chaos.chaos.schedule.file import load
from raft_chaos.chaos.targets.certificates import missing
from raft_chaos.chaos.targets.command import CommandTarget
from raft_chaos.chaos.targets.protocol import TargetError
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
)

OPTION_OF = {
    "warmup_s": "--warmup",
    "duration_s": "--duration",
    "liveness_s": "--liveness",
    "ops_per_second": "--rate",
    "fault_interval_s": "--fault-interval",
    "election_timeout_us_max": "--election-timeout",
}
"""The options for the fields of a ScheduleConfig, where the option is not --field."""


def check_target(mutant: str | None, command: str | None) -> None:
    if mutant is not None and mutant not in MUTANTS:
        fail(f"--mutant: there is no {mutant!r}; there are {', '.join(MUTANTS)}")
    if mutant is not None and command is not None:
        fail("--mutant and --target-command exclude each other: a mutant is our own Raft")
    if command is not None:
        try:
            CommandTarget(command)
        except TargetError as error:
            fail(f"--target-command: {error}")


def known_world(world: str) -> World:
    for known in WORLDS:
        if world == known:
            return known
    fail(f"--world: there is no {world!r}; there are {', '.join(WORLDS)}")


def check_world(world: World, command: str | None, swarm: bool | None) -> None:
    if world != "live" and command is not None:
        fail(f"--target-command: only our own Raft runs in virtual time; leave out --world {world}")
    if world == "live" and swarm:
        fail("--swarm draws faults that only virtual time has; give --world sim or --world lockstep with it")


def check_tls(tls: bool, world: World, command: str | None) -> None:
    if not tls:
        return
    if world != "live":
        fail(f"--tls: in the world {world} the harness carries each message itself; leave out --tls or --world {world}")
    if command is not None:
        fail("--tls: the harness makes certificates for our own Raft only; leave it out with --target-command")
    if lacking := missing():
        fail(f"--tls: {lacking}")


def fault_kinds(faults: str | None, world: World, command: str | None) -> tuple[str, ...]:
    possible = LIVE_KINDS if world == "live" else FAULT_KINDS
    if faults is None:
        chosen: list[str] = list(possible)
    else:
        chosen = [kind.strip() for kind in faults.split(",") if kind.strip()]
        for kind in chosen:
            if kind not in possible:
                fail(f"--faults: {kind!r} is unknown in the world {world}; expected some of {', '.join(possible)}")
        if not chosen:
            fail(
                f"--faults: expected some of {', '.join(possible)}; without faults a run shows nothing, got {faults!r}"
            )
    # A command is never asked.
    kept = tuple(kind for kind in chosen if command is None or not KINDS[kind].asks_target)
    if not kept:
        fail(f"--faults: a target command is not asked for {', '.join(chosen)}, so no fault is left; give other kinds")
    return kept


def schedule_config(**fields: Any) -> ScheduleConfig:
    if fields["ops_per_second"] == 0:
        fail("--rate: expected more than 0; without client operations a run shows nothing, got 0")
    try:
        return ScheduleConfig(**fields)
    except ScheduleError as error:
        field, _, wrong = str(error).partition(":")
        fail(f"{OPTION_OF.get(field, f'--{field}')}:{wrong}")


def saved_schedule(schedule: Path | None, world: World, timing: Timing) -> Schedule | None:
    if schedule is None:
        return None
    try:
        saved = load(schedule)
    except ScheduleError as error:
        fail(f"--schedule: {error}")
    if world == "live":
        for fault in saved.faults:
            if not fault.action.in_live:
                fail(
                    f"--schedule: {schedule}: fault {fault.id} is a {fault.action.kind()}, which the world live "
                    "does not have; give --world sim or --world lockstep"
                )
    else:
        model = saved.header.model
        round_us = 2 * (model.latency_max_us + model.sync_max_us)
        if round_us >= timing.election_timeout_min_us:
            fail(
                f"--schedule: {schedule}: model: a vote takes up to {round_us} µs there and back with both writes, and "
                f"the least election timeout is {timing.election_timeout_min_us} µs, so perhaps no leader is elected "
                "(§5.6); make latency_max_us and sync_max_us smaller, or --election-timeout longer"
            )
    return saved


def make_folder(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        fail(f"--out: cannot make run directories in {out} ({error.strerror})")


def given_options(context: typer.Context) -> list[str]:
    """The given options that define a run, as words of a command line."""
    words: list[str] = []
    for parameter in context.command.params:
        source = context.get_parameter_source(parameter.name or "")
        option = parameter.opts[0]
        if source is None or source.name != "COMMANDLINE" or option in GIVEN_IN_REPRO:
            continue
        value = context.params[parameter.name or ""]
        if isinstance(value, bool):
            words.append(option if value else parameter.secondary_opts[0])
        else:
            words += [option, repr(value).removesuffix(".0") if isinstance(value, float) else str(value)]
    return words
