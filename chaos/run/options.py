"""The options of a run, checked, as settings. The command line and the Python API give the same, by these names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn, TypedDict

from raft_chaos.chaos import mutants
from raft_chaos.chaos.faults.abilities import DISKS, OF_NETWORK, OF_VIRTUAL_NETWORK, OURS, Abilities, in_order
from raft_chaos.chaos.faults.catalogue import KINDS, VIRTUAL_KINDS
from raft_chaos.chaos.run.option import NO_FEATURE, OptionError, features_of, hint, known, timing_of, word
from raft_chaos.chaos.run.settings import Settings
from raft_chaos.chaos.run.world import WORLDS, World
from raft_chaos.chaos.schedule.config import ScheduleConfig, least_duration_s
from raft_chaos.chaos.schedule.data import Schedule, ScheduleError
from raft_chaos.chaos.schedule.file import load
from raft_chaos.chaos.schedule.fitting import lacking, too_slow
from raft_chaos.chaos.targets.certificates import missing
from raft_chaos.chaos.targets.find import find
from raft_chaos.chaos.targets.protocol import Target, TargetError, abilities_of, rate_of
from raft_chaos.raft.state.timing import Timing

LISTED = 8
"""How many of the things that a target lacks one message lists."""

OPTION_OF = {
    "warmup_s": "warmup",
    "duration_s": "duration",
    "liveness_s": "liveness",
    "ops_per_second": "rate",
    "fault_interval_s": "fault_interval",
    "election_timeout_us_max": "election_timeout",
}
"""The options for the fields of a ScheduleConfig, where the option has another name."""


NUMBERS = {
    "nodes", "clients", "rate", "duration", "warmup", "liveness", "fault_interval", "heartbeat", "max_events"
}  # fmt: skip


class Options(TypedDict, total=False):
    """What decides a run, beside its seed. `raft-chaos run --help` explains each; times are in seconds.

    `election_timeout` (least and longest) and `heartbeat` are in milliseconds. `faults` are names of kinds, and
    `features` of parts of Raft. `target` is a target file, module:Class, or the name of an installed target;
    `target_command` a command line.
    """

    world: World
    nodes: int
    clients: int
    rate: float
    duration: float
    warmup: float
    liveness: float
    faults: str | Sequence[str]
    fault_interval: float
    swarm: bool
    election_timeout: str | tuple[int, int]
    heartbeat: int
    features: str | Sequence[str]
    mutant: str
    target: str
    target_command: str
    network: str
    disk: str
    tls: bool
    peer_auth: bool
    max_events: int
    schedule: str | Path


def settings_of(options: Mapping[str, Any]) -> tuple[Settings, Schedule | None]:
    """The settings that the options give, and the saved schedule that they name. None is an option that is not given.

    Raises OptionError.
    """
    for name in options:
        if name not in Options.__annotations__:
            raise OptionError(name, f"there is no such option; {hint(name, Options.__annotations__)}")
    given = {name: value for name, value in options.items() if value is not None}
    for name in [one for one in given if one in NUMBERS]:
        if isinstance(given[name], bool) or not isinstance(given[name], int | float):
            raise OptionError(name, f"expected a number, got {given[name]!r}")
    if given.get("max_events", 1) < 1:
        raise OptionError("max_events", f"expected at least 1, got {given['max_events']}")
    world: World = known("world", given.get("world", "live"), WORLDS)
    timing = timing_of(given.get("election_timeout", "150-300"), given.get("heartbeat"))
    system = target_of(given, timing)
    _check_world(world, system, given)
    can = abilities_of(system) if world == "live" else system.can | OF_VIRTUAL_NETWORK
    saved = _saved(given, world, can, timing)
    settings = Settings(
        world=world,
        schedule=_schedule_config(given, world, system, can, timing, drawn=saved is None),
        timing=timing,
        mutant=given.get("mutant"),
        command=given.get("target_command"),
        foreign=given.get("target"),
        network=given.get("network"),
        disk=given.get("disk"),
        tls=given.get("tls", False),
        schedule_file=str(given["schedule"]) if saved is not None else None,
        peer_auth=given.get("peer_auth", False),
        max_events=given.get("max_events"),
        options=_words(given),
    )
    return settings, saved


# ---- parts, some of which other commands take as well --------------------------------------------------------------


def target_of(given: Mapping[str, Any], timing: Timing) -> Target:
    """The target that the options choose: our own Raft, one of its mutants, or a system of somebody else."""
    if "mutant" in given:
        known("mutant", given["mutant"], mutants.MUTANTS)
    foreign = [option for option in ("target_command", "target") if option in given]
    if "mutant" in given and foreign:
        raise OptionError("mutant", f"it excludes «{foreign[0]}»: a mutant is our own Raft")
    if len(foreign) > 1:
        raise OptionError("target", "it excludes «target_command»: a command is the shortest form of a target")
    if "network" in given and not foreign:
        raise OptionError("network", "only the target of somebody else has a choice; our own Raft speaks frames")
    if "network" in given:
        known("network", given["network"], OF_NETWORK)
    if "disk" in given and not foreign:
        raise OptionError("disk", "only the target of somebody else has a choice; our own Raft's always loses")
    if "disk" in given:
        known("disk", given["disk"], DISKS)
    try:
        found = find(
            timing,
            mutant=given.get("mutant"),
            command=given.get("target_command"),
            name=given.get("target"),
            network=given.get("network"),
            disk=given.get("disk"),
        )
    except TargetError as error:
        raise OptionError(foreign[0] if foreign else "mutant", str(error)) from None
    if given.get("disk") == "lossy" and "kill" not in found.can:
        raise OptionError("disk", "a disk loses something only when its node is killed, which the target cannot bear")
    return found


def _check_world(world: World, system: Target, given: Mapping[str, Any]) -> None:
    ours = "events" in system.can
    if world != "live" and not ours:
        raise OptionError(
            "world", f"only our own Raft runs in virtual time; leave out «world {world}» for {system.name}"
        )
    if world == "live" and given.get("swarm"):
        raise OptionError(
            "swarm", "it draws faults that only virtual time has; give «world sim» or «world lockstep» with it"
        )
    if given.get("features") is not None and not ours:
        raise OptionError("features", f"only our own Raft has any; leave it out for {system.name}")
    if given.get("peer_auth") and world == "sim":
        raise OptionError(
            "peer_auth",
            "nodes in sim have no connections, so no handshake; give «world live» or «world lockstep» with it",
        )
    if given.get("peer_auth") and not ours:
        raise OptionError("peer_auth", f"only our own Raft has this handshake; leave it out for {system.name}")
    if given.get("tls"):
        if world != "live":
            raise OptionError(
                "tls",
                f"in the world {world} the harness carries each message itself; leave out «tls» or «world {world}»",
            )
        if not ours:
            raise OptionError(
                "tls", f"the harness makes certificates for our own Raft only; leave it out for {system.name}"
            )
        if lacks := missing():
            raise OptionError("tls", lacks)


def _schedule_config(
    given: Mapping[str, Any], world: World, system: Target, can: Abilities, timing: Timing, *, drawn: bool
) -> ScheduleConfig:
    swarm = given.get("swarm", world != "live")
    warmup_s, duration_s = float(given.get("warmup", 1.5)), float(given.get("duration", 15.0))
    if not drawn:  # a saved schedule has times of its own
        duration_s = max(duration_s, least_duration_s(warmup_s, timing.election_timeout_max_us))
    return schedule_config(
        nodes=given.get("nodes", 0 if swarm else 5),
        clients=given.get("clients", 5),
        warmup_s=warmup_s,
        duration_s=duration_s,
        liveness_s=float(given.get("liveness", 3.0)),
        ops_per_second=float(given.get("rate", rate_of(system))),
        faults=kinds_of(given.get("faults"), world, can),
        fault_interval_s=float(given.get("fault_interval", 1.2)),
        election_timeout_us_max=timing.election_timeout_max_us,
        swarm=swarm,
        can=None if system.can == OURS else tuple(in_order(can)),
        readers="get" in can and "events" not in can,
        features=features_of(given.get("features")),
    )


def schedule_config(**fields: Any) -> ScheduleConfig:
    """A ScheduleConfig whose errors name the options."""
    if fields["ops_per_second"] == 0:
        raise OptionError("rate", "expected more than 0; without client operations a run shows nothing, got 0")
    try:
        return ScheduleConfig(**fields)
    except ScheduleError as error:
        field, _, wrong = str(error).partition(":")
        raise OptionError(OPTION_OF.get(field, field), wrong.lstrip()) from None


def kinds_of(faults: str | Sequence[str] | None, world: World, can: Abilities) -> tuple[str, ...]:
    """The kinds of faults that a run draws from: those that the world has and a target with these abilities suffers."""
    there = [name for name, kind in KINDS.items() if kind.in_live] if world == "live" else list(VIRTUAL_KINDS)
    possible = [kind for kind in there if KINDS[kind].exists(can)]
    if faults is None:
        if not possible:
            raise OptionError(
                "target",
                "it can suffer no fault: it keeps no data, cannot be paused, and its network breaks no links",
            )
        return tuple(possible)
    names = faults.split(",") if isinstance(faults, str) else list(faults)
    chosen = tuple(name for name in map(str.strip, names) if name)
    if not chosen:
        _no_faults(possible, faults)
    for kind in chosen:
        if kind not in there:
            raise OptionError("faults", f"{kind!r} is unknown in the world {world}; {hint(kind, possible)}")
        if kind not in possible:
            raise OptionError("faults", f"the target cannot do {kind!r}; expected some of {', '.join(possible)}")
    return chosen


def _no_faults(possible: list[str], faults: object) -> NoReturn:
    raise OptionError(
        "faults", f"expected some of {', '.join(possible)}; without faults a run shows nothing, got {faults!r}"
    )


def _saved(given: Mapping[str, Any], world: World, can: Abilities, timing: Timing) -> Schedule | None:
    if "schedule" not in given:
        return None
    file = Path(given["schedule"])
    try:
        saved = load(file)
    except ScheduleError as error:
        raise OptionError("schedule", str(error)) from None
    if lacks := lacking(saved, can):
        listed = "; ".join(lacks[:LISTED]) + (f"; and {len(lacks) - LISTED} more" if len(lacks) > LISTED else "")
        raise OptionError("schedule", f"{file}: the target cannot do what this schedule asks for: {listed}")
    if world == "live":
        for fault in saved.faults:
            if not fault.action.in_live:
                raise OptionError(
                    "schedule",
                    f"{file}: fault {fault.id} is a {fault.action.kind()}, which the world live does not have; "
                    "give «world sim» or «world lockstep»",
                )
    elif slow := too_slow(saved, timing.election_timeout_min_us):
        raise OptionError("schedule", f"{file}: {slow}")
    return saved


def _words(given: Mapping[str, Any]) -> list[str]:
    """The options as words of a command line, for the command that repeats the run."""
    words: list[str] = []
    for name, value in given.items():
        option = word(name)
        if name == "schedule":
            continue  # the repeat command names the run's own copy
        if isinstance(value, bool):
            words += [option] if value else [f"--no-{name}"] if name == "swarm" else []
        elif name in ("faults", "features", "election_timeout") and not isinstance(value, str):
            words += [option, ("-" if name == "election_timeout" else ",").join(map(str, value)) or NO_FEATURE]
        else:
            words += [option, repr(value).removesuffix(".0") if isinstance(value, float) else str(value)]
    return words
