"""From a seed to a schedule: `generate` is a pure function of the seed and a `ScheduleConfig`.

The faults are drawn in `draw_faults`, the client operations in `draw_operations`, each from streams of its own: another
number of clients moves no fault, and other faults move no operation. `drawn` says in words what came out, to be
shown before the run begins.
"""

from __future__ import annotations

from collections import Counter

from chaos.draw_faults import draw_faults
from chaos.draw_operations import draw_operations
from chaos.schedule import LEADER, Header, Kill, Network, Partition, Pause, Promise, Schedule, SlowSync
from chaos.schedule_config import FAULT_KINDS, FaultKind, ScheduleConfig

__all__ = ["FAULT_KINDS", "FaultKind", "ScheduleConfig", "drawn", "generate"]


def generate(seed: int, config: ScheduleConfig) -> Schedule:
    """The schedule of that seed: the same bits in every process and on every machine."""
    nodes = [f"n{number}" for number in range(1, config.nodes + 1)]
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
    )
    until_us = header.safety_until_us + header.liveness_for_us
    return Schedule(
        header=header,
        faults=draw_faults(seed, config, nodes),
        operations=draw_operations(seed, clients, config.ops_per_second, until_us),
    )


def drawn(schedule: Schedule) -> list[str]:
    """What the schedule holds, a line for each kind of fault and one for the operations, for a person to read."""
    actions = [fault.action for fault in schedule.faults]
    lines: list[str] = []
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
    if anchored := sum(fault.when.on is not None for fault in schedule.faults):
        lines.append(f"faults: {len(actions)}, {anchored} of them anchored to elections and votes")
    functions = _tally([operation.f for operation in schedule.operations])
    lines.append(f"operations: {len(schedule.operations)} by {len(schedule.header.clients)} clients ({functions})")
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
    return ", ".join(parts)


def _tally(names: list[str]) -> str:
    """ "leader 3, one 2": most frequent first, then by name."""
    return ", ".join(f"{name} {count}" for name, count in sorted(Counter(names).items(), key=lambda i: (-i[1], i[0])))
