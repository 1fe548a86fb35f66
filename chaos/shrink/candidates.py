"""Simpler forms of a schedule's parts: each function gives the candidates for one part, the boldest first.

Nothing here knows whether a simpler form still does what is wanted; that is tried (`schedules`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations

from msgspec.structs import replace

from raft_chaos.chaos.faults.actions import LIVE_KINDS, Action, Clock, Clog, Grudge, Kill, Network, Partition, kind_of
from raft_chaos.chaos.schedule.data import Fault, Model, Operation, Schedule, When

PLAIN_MODEL = Model(latency_min_us=1_000, latency_max_us=1_000, sync_min_us=1_000, sync_max_us=1_000)
FEWEST_NODES = 3


def simpler_headers(schedule: Schedule) -> Iterator[Schedule]:
    """Without promises and spread, and with less time before, during and after the faults."""
    header = schedule.header
    bare = replace(header, promises=[], swarm={}, liveness_for_us=0)
    yield replace(schedule, header=replace(bare, model=PLAIN_MODEL))
    yield replace(schedule, header=bare)


def live_alone(schedule: Schedule) -> Iterator[Schedule]:
    """With those faults alone that real time has, too."""
    faults = [fault for fault in schedule.faults if kind_of(fault.action) in LIVE_KINDS]
    if len(faults) < len(schedule.faults):
        yield replace(schedule, faults=faults)


def fewer_nodes(schedule: Schedule) -> Iterator[Schedule]:
    """As many at once as can be spared."""
    names = schedule.header.nodes
    for many in range(len(names) - FEWEST_NODES, 0, -1):
        for gone in combinations(names, many):
            left = [name for name in names if name not in gone]
            faults = [f for fault in schedule.faults if (f := _fault_without(fault, gone)) is not None]
            yield replace(schedule, header=replace(schedule.header, nodes=left), faults=faults)


def fewer_clients(schedule: Schedule) -> Iterator[Schedule]:
    """All but one, then one less."""
    names = schedule.header.clients
    for kept in [*([name] for name in names), *([n for n in names if n != name] for name in reversed(names))]:
        if 0 < len(kept) < len(names):
            operations = [operation for operation in schedule.operations if operation.client in kept]
            yield replace(schedule, header=replace(schedule.header, clients=kept), operations=operations)


def simpler_faults(fault: Fault) -> Iterator[Fault]:
    """The same fault doing less, or for a shorter time."""
    for action in _simpler_actions(fault.action):
        yield replace(fault, action=action, duration_us=_lasts_us(action, fault.duration_us))
    if isinstance(fault.action, Kill):
        return
    for part in (4, 2):
        if fault.duration_us >= 4_000:
            yield replace(fault, duration_us=_rounded(fault.duration_us // part))


def sooner(when: When) -> Iterator[When]:
    """An earlier event of the kind, or sooner after it. Times move together (`earlier`)."""
    if when.on is not None:
        for nth in dict.fromkeys((1, when.nth // 2, when.nth - 1)):
            if 0 < nth < when.nth:
                yield replace(when, nth=nth)
        for after_us in dict.fromkeys((0, _rounded(when.after_us // 2))):
            if after_us < when.after_us:
                yield replace(when, after_us=after_us)


def earlier(schedule: Schedule, by_us: int) -> Schedule | None:
    """The whole schedule so much earlier; None if it begins at once already."""
    header = schedule.header
    by_us = min(by_us, header.safety_from_us)
    if by_us <= 0:
        return None

    def fault(one: Fault) -> Fault:
        at_us = one.when.at_us
        return one if at_us is None else replace(one, when=replace(one.when, at_us=max(0, at_us - by_us)))

    def operation(one: Operation) -> Operation:
        return replace(one, at_us=max(0, one.at_us - by_us))

    return Schedule(
        replace(header, safety_from_us=header.safety_from_us - by_us, safety_until_us=header.safety_until_us - by_us),
        [fault(one) for one in schedule.faults],
        [operation(one) for one in schedule.operations],
    )


def _lasts_us(action: Action, duration_us: int) -> int:
    return max(action.restart_after_us) if isinstance(action, Kill) else duration_us


# ---- one action --------------------------------------------------------------------------------------------------


def _simpler_actions(action: Action) -> Iterator[Action]:
    match action:
        case Kill():
            yield from _simpler_kills(action)
        case Network():
            plain = Network(action.nodes)
            for field in ("delay_mean_us", "loss", "duplicate", "reorder"):
                if getattr(action, field) != getattr(plain, field):
                    yield replace(action, **{field: getattr(plain, field)})
            if action.delay_max_us:
                yield replace(action, delay_min_us=0, delay_max_us=0)
        case Clock(_, rate_ppm, jump_us):
            if rate_ppm and jump_us:
                yield replace(action, rate_ppm=0)
                yield replace(action, jump_us=0)
        case Partition() | Clog():
            for grudge in _smaller_grudges(action.grudge):
                yield replace(action, grudge=grudge)
    if not isinstance(action, Kill | Partition | Clog) and len(action.nodes) > 1:
        for node in action.nodes:
            yield replace(action, nodes=[other for other in action.nodes if other != node])


def _simpler_kills(kill: Kill) -> Iterator[Kill]:
    if kill.failpoint is not None:
        yield replace(kill, failpoint=None)
    if any(kill.keep_permille):
        yield replace(kill, keep_permille=[])
    if len(kill.nodes) > 1:
        for place in range(len(kill.nodes)):
            yield Kill(
                _without(kill.nodes, place),
                _without(kill.restart_after_us, place),
                _without(kill.keep_permille, place),
                kill.failpoint,
            )
    if any(kill.restart_after_us):
        yield replace(kill, restart_after_us=[0 for _ in kill.nodes])
        yield replace(kill, restart_after_us=[_rounded(after_us // 2) for after_us in kill.restart_after_us])


def _smaller_grudges(grudge: Grudge) -> Iterator[Grudge]:
    """Fewer directions are cut. What a cut is named after stays: it says what it was drawn as."""
    if len(grudge) > 1:
        for receiver in grudge:
            yield {other: senders for other, senders in grudge.items() if other != receiver}


def _fault_without(fault: Fault, gone: Sequence[str]) -> Fault | None:
    """The fault among the nodes that are left; None if it hit only others."""
    action = fault.action
    match action:
        case Kill():
            left = [place for place, name in enumerate(action.nodes) if name not in gone]
            kept = [action.keep_permille[place] for place in left] if action.keep_permille else []
            now: Action = Kill(
                [action.nodes[place] for place in left],
                [action.restart_after_us[place] for place in left],
                kept,
                action.failpoint,
            )
            return replace(fault, action=now) if left else None
        case Partition() | Clog():
            grudge = {
                receiver: [sender for sender in senders if sender not in gone]
                for receiver, senders in action.grudge.items()
                if receiver not in gone
            }
            grudge = {receiver: senders for receiver, senders in grudge.items() if senders}
            return replace(fault, action=replace(action, grudge=grudge)) if grudge else None
        case _:
            names = [name for name in action.nodes if name not in gone]
            return replace(fault, action=replace(action, nodes=names)) if names else None


def _without(values: Sequence[int] | Sequence[str], place: int) -> list:  # type: ignore[type-arg]
    return [value for other, value in enumerate(values) if other != place]


def _rounded(us: int) -> int:
    """To whole milliseconds, where that leaves anything."""
    return us - us % 1_000 if us >= 1_000 else us
