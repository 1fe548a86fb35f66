"""Variants of a schedule: the same run with a few changes, drawn at random.

    moved         a fault comes earlier or later, or at an earlier or later event
    again         a fault comes a second time, at another moment, and all that follow it
    dropped       a fault is left out
    retargeted    two nodes, or a node and the leader, change places in a fault
    anchored      a fault at a fixed time follows an event of the protocol instead, or the other way round
    stretched     a fault lasts longer or shorter
    quiet         no client asks for anything for a while
    crowded       the operations of a while are all invoked at its beginning
    reseeded      the same schedule with other timers, latencies and bytes lost
    spliced       the faults of one schedule up to a moment, those of another one from there on

Each function is pure: the same generator gives the same variant. What it returns is valid (`check_schedule`), and in
the order in which a file would have it, so that the saved schedule gives the same run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import attrgetter
from random import Random
from typing import Any, TypeAlias

import msgspec
from msgspec.structs import replace

from raft_chaos.chaos.faults.catalogue import AnyAction
from raft_chaos.chaos.faults.names import LEADER
from raft_chaos.chaos.schedule.check import check_schedule
from raft_chaos.chaos.schedule.data import IN_EVERY_CLUSTER, Fault, Operation, Schedule, ScheduleError, When
from raft_chaos.chaos.schedule.follow import follows

Change: TypeAlias = Callable[[Schedule, Random], Schedule]

LATEST_NTH = {"leader_elected": 12, "leader_committed": 12, "vote_granted": 40, "log_truncated": 6}
SHIFT_US = (1_000, 3_000_000)
AFTER_US = (200, 500_000)
WHILE_US = (100_000, 3_000_000)
"""Lengths of time, drawn on a log scale."""
MOST_FAULTS = 120
SEEDS = 1 << 32


def varied(schedule: Schedule, rng: Random) -> tuple[Schedule, str]:
    """The schedule after one to four changes, and their names."""
    names: list[str] = []
    for _ in range(rng.choice((1, 1, 2, 3, 4))):
        name = rng.choice(_OFTEN)
        schedule = CHANGES[name](schedule, rng)
        names.append(name)
    return in_order(schedule), " ".join(dict.fromkeys(names))


def spliced(first: Schedule, second: Schedule, rng: Random) -> Schedule:
    """The first schedule up to a moment of its safety phase, then the second one's faults; with its own nodes, clients
    and operations. A fault that is anchored to an event comes from either."""
    header = first.header
    at_us = rng.randint(header.safety_from_us, header.safety_until_us)
    names = dict(zip(second.header.nodes, header.nodes, strict=False))

    def kept(schedule: Schedule, before: bool) -> list[Fault]:
        """An episode stays whole: a fault stays with the one that it follows."""
        stays: dict[str, bool] = {}
        for fault in schedule.faults:
            if leaders := [other for other in follows(fault) if other in stays]:
                stays[fault.id] = all(stays[other] for other in leaders)
            elif fault.when.at_us is None:
                stays[fault.id] = rng.random() < 0.5
            else:
                stays[fault.id] = (fault.when.at_us < at_us) == before
        return [fault for fault in schedule.faults if stays[fault.id]]

    faults = kept(first, True)
    others = [fault for fault in kept(second, False) if not _names(fault) - names.keys()]
    taken = {fault.id for fault in faults}
    new = {fault.id: _free(fault.id, taken) for fault in others}
    faults += [_renamed(fault, names | new) for fault in others]
    return in_order(replace(first, faults=faults[:MOST_FAULTS]))


def in_order(schedule: Schedule) -> Schedule:
    """The schedule as its file would have it, without the faults that are not valid any more: one of which the fault
    that it follows was left out, or one that damages a node for good when no more may be damaged."""
    faults = sorted(schedule.faults, key=attrgetter("id"))
    operations = sorted(schedule.operations, key=attrgetter("at_us"))
    schedule = Schedule(schedule.header, faults, operations)
    while True:
        try:
            check_schedule(schedule)
            return schedule
        except ScheduleError as error:
            left = [fault for fault in schedule.faults if fault.id != error.entry]
            if len(left) == len(schedule.faults):
                raise
            schedule = replace(schedule, faults=left)


# ---- changes of one fault ----------------------------------------------------------------------------------------


def _moved(fault: Fault, schedule: Schedule, rng: Random) -> Fault:
    when = fault.when
    if when.at_us is not None:
        return replace(fault, when=replace(when, at_us=_within(schedule, when.at_us + _shift(rng))))
    if rng.random() < 0.5:
        return replace(fault, when=replace(when, nth=max(1, when.nth + rng.choice((-2, -1, 1, 2, 3)))))
    return replace(fault, when=replace(when, after_us=_log(rng, AFTER_US)))


def _anchored(fault: Fault, schedule: Schedule, rng: Random) -> Fault:
    if fault.when.at_us is None:
        header = schedule.header
        return replace(fault, when=When(at_us=rng.randint(header.safety_from_us, header.safety_until_us)))
    event = rng.choice(IN_EVERY_CLUSTER)
    return replace(fault, when=When(on=event, nth=rng.randint(2, LATEST_NTH[event]), after_us=_log(rng, AFTER_US)))


def _retargeted(fault: Fault, schedule: Schedule, rng: Random) -> Fault:
    one, other = rng.sample([*schedule.header.nodes, LEADER], 2)
    return _renamed(fault, {one: other, other: one})


def _stretched(fault: Fault, schedule: Schedule, rng: Random) -> Fault:
    longer = rng.choice((0.25, 0.5, 2, 4))
    duration_us = min(int(fault.duration_us * longer), schedule.header.safety_until_us)
    return replace(fault, duration_us=fault.action.lasts_us(duration_us))


def _of_one(change: Callable[[Fault, Schedule, Random], Fault]) -> Change:
    """The change of a schedule that changes one of its faults."""

    def changed(schedule: Schedule, rng: Random) -> Schedule:
        if not schedule.faults:
            return schedule
        place = rng.randrange(len(schedule.faults))
        faults = [*schedule.faults]
        faults[place] = change(faults[place], schedule, rng)
        return replace(schedule, faults=faults)

    return changed


# ---- changes of a schedule ---------------------------------------------------------------------------------------


def _again(schedule: Schedule, rng: Random) -> Schedule:
    if not 0 < len(schedule.faults) < MOST_FAULTS:
        return schedule
    fault, taken = rng.choice(schedule.faults), {one.id for one in schedule.faults}
    new = {fault.id: _free(fault.id, taken)}
    copies = [_renamed(_moved(fault, schedule, rng), new)]
    for one in schedule.faults:
        if any(other in new for other in follows(one)):
            new[one.id] = _free(one.id, taken)
            copies.append(_renamed(one, new))
    return replace(schedule, faults=[*schedule.faults, *copies])


def _dropped(schedule: Schedule, rng: Random) -> Schedule:
    if not schedule.faults:
        return schedule
    gone = rng.choice(schedule.faults)
    return replace(schedule, faults=[fault for fault in schedule.faults if fault is not gone])


def _quiet(schedule: Schedule, rng: Random) -> Schedule:
    from_us, until_us = _while(schedule, rng)
    return replace(
        schedule, operations=[one for one in schedule.operations if one.final or not from_us <= one.at_us < until_us]
    )


def _crowded(schedule: Schedule, rng: Random) -> Schedule:
    from_us, until_us = _while(schedule, rng)

    def sooner(one: Operation) -> Operation:
        return replace(one, at_us=from_us) if from_us < one.at_us < until_us and not one.final else one

    return replace(schedule, operations=[sooner(one) for one in schedule.operations])


def _reseeded(schedule: Schedule, rng: Random) -> Schedule:
    return replace(schedule, header=replace(schedule.header, seed=rng.randrange(SEEDS)))


CHANGES: dict[str, Change] = {
    "moved": _of_one(_moved),
    "again": _again,
    "dropped": _dropped,
    "retargeted": _of_one(_retargeted),
    "anchored": _of_one(_anchored),
    "stretched": _of_one(_stretched),
    "quiet": _quiet,
    "crowded": _crowded,
    "reseeded": _reseeded,
}
_OFTEN: Sequence[str] = [*("moved", "again", "anchored", "retargeted") * 2, *CHANGES]


# ---- parts -------------------------------------------------------------------------------------------------------


def _renamed(fault: Fault, names: dict[str, str]) -> Fault:
    """The fault with other names of nodes and of faults, wherever they stand in it, also as in "leader@f07"."""

    def name(text: str) -> str:
        role, at, of = text.partition("@")
        return names.get(text, f"{role}@{names[of]}" if at and of in names else text)

    def walk(value: Any) -> Any:
        if isinstance(value, dict):
            return {name(key): walk(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [*map(walk, value)]
        return name(value) if isinstance(value, str) else value

    data = msgspec.to_builtins(fault.action)
    changed = {key: value if key == "type" else walk(value) for key, value in data.items()}
    when = msgspec.convert({k: walk(v) for k, v in msgspec.to_builtins(fault.when).items()}, When)
    return replace(fault, id=names.get(fault.id, fault.id), when=when, action=msgspec.convert(changed, AnyAction))


def _names(fault: Fault) -> set[str]:
    """The ids of nodes that the fault names: used only to compare with others."""
    text = msgspec.json.encode(fault.action).decode()
    return {word for word in text.replace("@", '"').split('"') if word.startswith("n") and word[1:].isdigit()}


def _free(name: str, taken: set[str]) -> str:
    """A name like this one that no other fault has, and that from now on is taken."""
    base, number = name.partition("-")[0], 2
    free = name
    while free in taken:
        free, number = f"{base}-{number}", number + 1
    taken.add(free)
    return free


def _while(schedule: Schedule, rng: Random) -> tuple[int, int]:
    header = schedule.header
    from_us = rng.randint(header.safety_from_us, header.safety_until_us)
    return from_us, from_us + _log(rng, WHILE_US)


def _within(schedule: Schedule, at_us: int) -> int:
    return min(max(at_us, schedule.header.safety_from_us), schedule.header.safety_until_us)


def _shift(rng: Random) -> int:
    return rng.choice((-1, 1)) * _log(rng, SHIFT_US)


def _log(rng: Random, limits: tuple[int, int]) -> int:
    least, most = limits
    return int(least * (most / least) ** rng.random())
