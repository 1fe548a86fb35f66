"""From a seed to a schedule: `generate` is a pure function of the seed and a `ScheduleConfig`.

First the seed draws the options of the whole run (`swarm`), then the faults (`draw_faults`) and the client operations
(`draw_operations`), each from streams of its own: another number of clients moves no fault, and other faults move no
operation. `drawn` says in words what came out, to be shown before the run begins.
"""

from __future__ import annotations

from collections import Counter

from raft_chaos.chaos.faults.actions import (
    FAULT_KINDS,
    LEADER,
    LIVE_KINDS,
    Clock,
    Clog,
    FaultKind,
    Kill,
    Network,
    Partition,
    Pause,
    Reset,
    SlowSync,
)
from raft_chaos.chaos.schedule.config import ScheduleConfig
from raft_chaos.chaos.schedule.data import Header, Promise, Schedule
from raft_chaos.chaos.schedule.draw_faults import draw_faults
from raft_chaos.chaos.schedule.swarm import draw
from raft_chaos.chaos.schedule.workload import draw_operations

__all__ = ["FAULT_KINDS", "LIVE_KINDS", "FaultKind", "ScheduleConfig", "drawn", "generate"]


def generate(seed: int, config: ScheduleConfig) -> Schedule:
    """The schedule of that seed: the same bits in every process and on every machine."""
    swarm = draw(seed, config)
    nodes = [f"n{number}" for number in range(1, swarm.nodes + 1)]
    clients = [f"c{number}" for number in range(config.clients)]
    promises: list[Promise] = []
    if "kill" in config.faults:
        promises.append("leader_killed")
    if "partition" in config.faults:
        promises.append("leader_isolated")
    header = Header(
        seed=seed,
        nodes=nodes,
        clients=clients,
        safety_from_us=round(config.warmup_s * 1e6),
        safety_until_us=round(config.duration_s * 1e6),
        liveness_for_us=round(config.liveness_s * 1e6),
        promises=promises,
        model=swarm.model,
        swarm=swarm.flat() if config.swarm else {},
    )
    until_us = header.safety_until_us + header.liveness_for_us
    return Schedule(
        header=header,
        faults=draw_faults(seed, config, swarm, nodes),
        operations=draw_operations(seed, clients, config.ops_per_second, until_us),
    )


def drawn(schedule: Schedule) -> list[str]:
    """What the schedule holds, a line for each kind of fault and one for the operations, for a person to read."""
    actions = [fault.action for fault in schedule.faults]
    lines = _swarm(schedule.header.swarm)
    if kills := [action for action in actions if isinstance(action, Kill)]:
        lines.append(f"kill: {_tally([_who(kill.nodes, schedule.header.nodes) for kill in kills])}")
    if pauses := [action for action in actions if isinstance(action, Pause)]:
        lines.append(f"pause: {_tally([_who(pause.nodes, schedule.header.nodes) for pause in pauses])}")
    if partitions := [action for action in actions if isinstance(action, Partition)]:
        lines.append(f"partition: {_tally([partition.shape for partition in partitions])}")
    if slow := [action for action in actions if isinstance(action, SlowSync)]:
        lines.append(f"slow_sync: {len(slow)}, up to {max(action.max_us for action in slow) / 1000:.0f} ms")
    if networks := [action for action in actions if isinstance(action, Network)]:
        lines.append(f"network: {len(networks)}, {_network(networks)}")
    lines += _virtual(schedule)
    if anchored := sum(fault.when.on is not None for fault in schedule.faults):
        lines.append(f"faults: {len(actions)}, {anchored} of them anchored to elections and votes")
    functions = _tally([operation.f for operation in schedule.operations])
    lines.append(f"operations: {len(schedule.operations)} by {len(schedule.header.clients)} clients ({functions})")
    return lines


def _swarm(options: dict[str, float | int | str]) -> list[str]:
    """What the seed drew for the whole run, and what it left out."""
    if not options:
        return []
    on = [
        f"{name} {value:g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in options.items()
        if value
    ]
    off = [name for name, value in options.items() if not value]
    return [f"swarm: {', '.join(on)}", *([f"swarm, off: {', '.join(off)}"] if off else [])]


def _virtual(schedule: Schedule) -> list[str]:
    """A line for each kind that needs virtual time or a network of its own, and one for how kills come about."""
    actions = [fault.action for fault in schedule.faults]
    kills = [action for action in actions if isinstance(action, Kill)]
    lines: list[str] = []
    if clogs := [fault.duration_us for fault in schedule.faults if isinstance(fault.action, Clog)]:
        lines.append(f"clog: {len(clogs)}, up to {max(clogs) / 1e6:.1f} s")
    if resets := [action for action in actions if isinstance(action, Reset)]:
        lines.append(f"reset: {_tally([_who(reset.nodes, schedule.header.nodes) for reset in resets])}")
    if clocks := [action for action in actions if isinstance(action, Clock)]:
        rate, jump_us = max(abs(clock.rate_ppm) for clock in clocks), max(clock.jump_us for clock in clocks)
        lines.append(f"clock: {len(clocks)}, off by up to {rate / 10_000:.1f} %, jumps up to {jump_us / 1e6:.1f} s")
    if torn := [kill for kill in kills if kill.keep_permille]:
        lines.append(f"unsynced bytes that survive: after {len(torn)} of {len(kills)} kills")
    if points := [kill.failpoint for kill in kills if kill.failpoint is not None]:
        lines.append(f"failpoints: {_tally(list(points))}")
    return lines


def _who(names: list[str], nodes: list[str]) -> str:
    if len(names) == 1:
        return names[0] if names[0] not in nodes else "one"
    several = sum(name in nodes for name in names)
    group = "all" if several == len(nodes) else "majority" if 2 * several > len(nodes) else "minority"
    return f"{LEADER} and {group}" if LEADER in names else group


def _network(networks: list[Network]) -> str:
    parts = [
        f"{field} up to {most * 100:.0f} %"
        for field in ("loss", "duplicate", "reorder")
        if (most := max(getattr(network, field) for network in networks))
    ]
    if delay_us := max(network.delay_max_us for network in networks):
        parts.append(f"delay up to {delay_us / 1000:.0f} ms")
    if mean_us := max(network.delay_mean_us for network in networks):
        parts.append(f"mean delay up to {mean_us / 1000:.0f} ms")
    return ", ".join(parts)


def _tally(names: list[str]) -> str:
    """ "leader 3, one 2": most frequent first, then by name."""
    return ", ".join(f"{name} {count}" for name, count in sorted(Counter(names).items(), key=lambda i: (-i[1], i[0])))
