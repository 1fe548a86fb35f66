"""The options of a run as keywords: those of `raft-chaos run`, by the same names and with the same defaults."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypedDict

from raft_chaos.chaos.faults.abilities import OF_NETWORK, OF_VIRTUAL_NETWORK, OURS, Abilities, in_order
from raft_chaos.chaos.faults.catalogue import KINDS, VIRTUAL_KINDS
from raft_chaos.chaos.mutants import MUTANTS
from raft_chaos.chaos.run.settings import WORLDS, Settings, World
from raft_chaos.chaos.schedule.config import ScheduleConfig, least_duration_s
from raft_chaos.chaos.schedule.data import Schedule, ScheduleError
from raft_chaos.chaos.schedule.file import load
from raft_chaos.chaos.schedule.fitting import lacking, too_slow
from raft_chaos.chaos.targets.certificates import missing
from raft_chaos.chaos.targets.find import find
from raft_chaos.chaos.targets.protocol import Target, TargetError, abilities_of, rate_of
from raft_chaos.raft.state.timing import Timing

HEARTBEATS_PER_TIMEOUT = 3

OPTION_OF = {
    "warmup_s": "warmup",
    "duration_s": "duration",
    "liveness_s": "liveness",
    "ops_per_second": "rate",
    "fault_interval_s": "fault_interval",
    "election_timeout_us_max": "election_timeout",
}
"""The options for the fields of a ScheduleConfig, where the option has another name."""


class Options(TypedDict, total=False):
    """What decides a run, beside its seed. `raft-chaos run --help` explains each; times are in seconds.

    `election_timeout` (least and longest) and `heartbeat` are in milliseconds. `faults` are names of kinds. `target` is
    a target file, module:Class, or the name of an installed target; `target_command` a command line.
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
    mutant: str
    target: str
    target_command: str
    network: str
    tls: bool
    peer_auth: bool
    schedule: str | Path


class OptionError(ValueError):
    """An option that cannot be used. The message names it, says what is wrong and what was expected."""


def _near(name: str) -> str:
    names = list(Options.__annotations__)
    near = get_close_matches(name, names, 1)
    return f"did you mean {near[0]}?" if near else f"there are {', '.join(names)}"


def settings_of(options: Mapping[str, Any]) -> tuple[Settings, Schedule | None]:
    """The settings that the options give, and the saved schedule that they name. Raises OptionError."""
    for name in options:
        if name not in Options.__annotations__:
            raise OptionError(f"{name}: there is no such option; {_near(name)}")
    given = {name: value for name, value in options.items() if value is not None}
    world = _known("world", given.get("world", "live"), WORLDS)
    timing = _timing(given)
    system = _target(given, timing)
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
        tls=given.get("tls", False),
        schedule_file=str(given["schedule"]) if saved is not None else None,
        peer_auth=given.get("peer_auth", False),
        options=_words(given),
    )
    return settings, saved


def seeds_of(seeds: int | str | Iterable[int]) -> list[int]:
    """20 is the seeds 1 to 20, "5..9" a range, and a list is itself; each seed counts once. Raises OptionError."""
    if isinstance(seeds, int):
        chosen = list(range(1, seeds + 1))
    elif isinstance(seeds, str):
        chosen = [seed for part in seeds.split(",") for seed in _range(part, seeds)]
    else:
        chosen = list(seeds)
    if not chosen or min(chosen) < 0:
        raise OptionError(f"seeds: expected at least one, each 0 or more, such as 20, '1..20' or [3, 5], got {seeds!r}")
    return list(dict.fromkeys(chosen))


def _range(part: str, whole: str) -> Iterable[int]:
    first, _, last = part.strip().partition("..")
    if not first.isdecimal() or not (last or first).isdecimal():
        raise OptionError(f"seeds: expected seeds and ranges such as '1..20' or '1..5,9', got {whole!r}")
    return range(int(first), int(last or first) + 1)


# ---- the parts of the settings -------------------------------------------------------------------------------------


def _known(option: str, value: Any, there: Sequence[Any]) -> Any:
    if value not in there:
        raise OptionError(f"{option}: there is no {value!r}; there are {', '.join(map(str, there))}")
    return value


def _timing(given: Mapping[str, Any]) -> Timing:
    chosen = given.get("election_timeout", (150, 300))
    try:
        least, most = (int(ms) for ms in (chosen.split("-") if isinstance(chosen, str) else chosen))
    except (TypeError, ValueError):
        raise OptionError(
            f"election_timeout: expected two numbers of milliseconds, such as (150, 300), got {chosen!r}"
        ) from None
    heartbeat_us = given["heartbeat"] * 1000 if "heartbeat" in given else least * 1000 // HEARTBEATS_PER_TIMEOUT
    try:
        return Timing(least * 1000, most * 1000, heartbeat_us)
    except ValueError as error:
        raise OptionError(f"heartbeat, election_timeout: {error}") from None


def _target(given: Mapping[str, Any], timing: Timing) -> Target:
    named = [option for option in ("mutant", "target", "target_command") if option in given]
    if len(named) > 1:
        raise OptionError(f"{' and '.join(named)} exclude each other: each names the system under test")
    if "mutant" in given:
        _known("mutant", given["mutant"], list(MUTANTS))
    if "network" in given:
        _known("network", given["network"], list(OF_NETWORK))
        if named in ([], ["mutant"]):
            raise OptionError("network: only the target of somebody else has a choice; our own Raft speaks frames")
    try:
        return find(
            timing,
            mutant=given.get("mutant"),
            command=given.get("target_command"),
            name=given.get("target"),
            network=given.get("network"),
        )
    except TargetError as error:
        raise OptionError(f"{named[0] if named else 'target'}: {error}") from None


def _check_world(world: World, system: Target, given: Mapping[str, Any]) -> None:
    ours = "events" in system.can
    if world != "live" and not ours:
        raise OptionError(f"world: only our own Raft runs in virtual time; {system.name} needs world='live'")
    if world == "live" and given.get("swarm"):
        raise OptionError("swarm: it draws faults that only virtual time has; give world='sim' or 'lockstep' with it")
    if given.get("peer_auth") and (world == "sim" or not ours):
        raise OptionError("peer_auth: only connections between our own nodes have it, in live and lockstep")
    if given.get("tls"):
        if world != "live" or not ours:
            raise OptionError("tls: only connections of our own Raft have it, in live")
        if lacks := missing():
            raise OptionError(f"tls: {lacks}")


def _schedule_config(
    given: Mapping[str, Any], world: World, system: Target, can: Abilities, timing: Timing, *, drawn: bool
) -> ScheduleConfig:
    swarm = given.get("swarm", world != "live")
    if given.get("rate") == 0:
        raise OptionError("rate: expected more than 0; without client operations a run shows nothing, got 0")
    warmup_s, duration_s = float(given.get("warmup", 1.5)), float(given.get("duration", 15.0))
    if not drawn:  # a saved schedule has times of its own
        duration_s = max(duration_s, least_duration_s(warmup_s, timing.election_timeout_max_us))
    try:
        return ScheduleConfig(
            nodes=given.get("nodes", 0 if swarm else 5),
            clients=given.get("clients", 5),
            warmup_s=warmup_s,
            duration_s=duration_s,
            liveness_s=float(given.get("liveness", 3.0)),
            ops_per_second=float(given.get("rate", rate_of(system))),
            faults=_kinds(given.get("faults"), world, can),
            fault_interval_s=float(given.get("fault_interval", 1.2)),
            election_timeout_us_max=timing.election_timeout_max_us,
            swarm=swarm,
            can=None if system.can == OURS else tuple(in_order(can)),
            readers="get" in can and "events" not in can,
        )
    except ScheduleError as error:
        field, _, wrong = str(error).partition(":")
        raise OptionError(f"{OPTION_OF.get(field, field)}:{wrong}") from None


def _kinds(faults: str | Sequence[str] | None, world: World, can: Abilities) -> tuple[str, ...]:
    there = [name for name, kind in KINDS.items() if kind.in_live] if world == "live" else list(VIRTUAL_KINDS)
    possible = [kind for kind in there if KINDS[kind].exists(can)]
    if not possible:
        raise OptionError("target: it can suffer no fault: no kill, no pause, and its network breaks no links")
    if faults is None:
        return tuple(possible)
    names = faults.split(",") if isinstance(faults, str) else list(faults)
    chosen = tuple(name for name in map(str.strip, names) if name)
    if not chosen:
        raise OptionError(f"faults: expected some of {', '.join(possible)}; without faults a run shows nothing")
    for kind in chosen:
        if kind not in possible:
            raise OptionError(
                f"faults: there is no {kind!r} in {world} for this target; there are {', '.join(possible)}"
            )
    return chosen


def _saved(given: Mapping[str, Any], world: World, can: Abilities, timing: Timing) -> Schedule | None:
    if "schedule" not in given:
        return None
    try:
        saved = load(Path(given["schedule"]))
    except ScheduleError as error:
        raise OptionError(f"schedule: {error}") from None
    if lacks := lacking(saved, can):
        raise OptionError(f"schedule: the target cannot do what it asks for: {'; '.join(lacks[:3])}")
    virtual = [fault.action.kind() for fault in saved.faults if not fault.action.in_live]
    if world == "live" and virtual:
        raise OptionError(
            f"schedule: the world live does not have {virtual[0]}; give world='sim' or 'lockstep' with it"
        )
    if world != "live" and (slow := too_slow(saved, timing.election_timeout_min_us)):
        raise OptionError(f"schedule: {slow}")
    return saved


def _words(given: Mapping[str, Any]) -> list[str]:
    """The options as words of a command line, for the command that repeats the run."""
    words: list[str] = []
    for name, value in given.items():
        option = "--" + name.replace("_", "-")
        if name == "schedule":
            continue  # the repeat command names the run's own copy
        if isinstance(value, bool):
            words += [option] if value else [f"--no-{name}"] if name == "swarm" else []
        elif name in ("faults", "election_timeout") and not isinstance(value, str):
            words += [option, ("," if name == "faults" else "-").join(map(str, value))]
        else:
            words += [option, repr(value).removesuffix(".0") if isinstance(value, float) else str(value)]
    return words
