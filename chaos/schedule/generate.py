"""From a seed to a schedule: `generate` is a pure function of the seed and a `ScheduleConfig`.

First the seed draws the options of the whole run (`swarm`), then the faults (`endings`) and the client operations
(`draw_operations`), each from streams of its own: a different number of clients moves no fault, and different faults
move no operation. Then `fitting` leaves out what the target cannot do. Last, where each node has a reader of its own,
that reads every key at the end.
"""

from __future__ import annotations

from collections import Counter
from operator import attrgetter

from msgspec.structs import replace

from raft_chaos.chaos.schedule.config import ScheduleConfig
from raft_chaos.chaos.schedule.data import Header, Operation, RequiredEvent, Schedule
from raft_chaos.chaos.schedule.draw_faults import quiet_us
from raft_chaos.chaos.schedule.endings import draw_all_faults
from raft_chaos.chaos.schedule.fitting import fitted
from raft_chaos.chaos.schedule.leases import breaking, with_leases
from raft_chaos.chaos.schedule.probes import PROBED, probers, probes
from raft_chaos.chaos.schedule.queue_workload import draw_queue
from raft_chaos.chaos.schedule.steered.catalogue import OLD_LEASE
from raft_chaos.chaos.schedule.swarm import Swarm, draw
from raft_chaos.chaos.schedule.workload import (
    draw_final_reads,
    draw_operations,
    draw_reads,
    reader,
    with_consistencies,
    with_failures,
    with_repeats,
    with_sessions,
)


def generate(seed: int, config: ScheduleConfig) -> Schedule:
    """The schedule of this seed: the same bits in every process and on every machine."""
    swarm = draw(seed, config)
    nodes = _nodes(swarm)
    clients = [f"c{number}" for number in range(config.clients)]
    required: list[RequiredEvent] = []
    if "kill" in config.faults:
        required.append("leader_killed")
    if "partition" in config.faults:
        required.append("leader_isolated")
    header = Header(
        seed=seed,
        nodes=nodes,
        clients=clients,
        safety_from_us=0 if swarm.early else round(config.warmup_s * 1e6),
        safety_until_us=round(config.duration_s * 1e6),
        liveness_for_us=round(config.liveness_s * 1e6),
        required=required,
        model=swarm.model,
        swarm=swarm.flat() if config.swarm else {},
        features=swarm.features,
    )
    until_us = header.safety_until_us + header.liveness_for_us
    operations = _operations(seed, clients, config, until_us)
    if swarm.quiet:
        begins_us, ends_us = quiet_us(seed, config)
        operations = [one for one in operations if not begins_us <= one.at_us < ends_us]
    if swarm.still:
        operations = [one for one in operations if one.at_us < header.safety_until_us]
    if swarm.repeats:
        operations = with_failures(seed, with_repeats(seed, operations))
        operations = with_sessions(seed, operations) if config.can is None else operations
    operations = with_consistencies(seed, operations, nodes)
    faults = [drawn.fault for drawn in draw_all_faults(seed, config, swarm, nodes)]
    has_leases = swarm.features.lease_reads and not breaking(faults)
    if has_leases:
        operations = with_leases(seed, operations)
    if any(episode in PROBED and (has_leases or episode not in OLD_LEASE) for episode in swarm.steered):
        probed = probes(faults, nodes, config.election_timeout_us_max)
        operations = sorted([*operations, *probed], key=attrgetter("at_us"))
        header = replace(header, clients=[*clients, *probers(nodes)])
    if config.readers:
        reads = draw_reads(seed, nodes, clients, config.ops_per_second / len(clients), until_us)
        operations = sorted([*operations, *reads], key=attrgetter("at_us"))
        header = replace(header, clients=[*header.clients, *map(reader, nodes)])
    schedule = Schedule(header=header, faults=faults, operations=operations)
    if config.can is not None:
        schedule = fitted(schedule, frozenset(config.can))
    if config.readers:
        finals = draw_final_reads(schedule.operations, nodes, until_us)
        schedule = replace(schedule, operations=[*schedule.operations, *finals])
    return schedule


def episodes_of(seed: int, config: ScheduleConfig) -> dict[str, str]:
    """The faults of this seed's schedule that belong to an episode, by their ids, with its name."""
    swarm = draw(seed, config)
    return {
        drawn.fault.id: drawn.episode for drawn in draw_all_faults(seed, config, swarm, _nodes(swarm)) if drawn.episode
    }


def _nodes(swarm: Swarm) -> list[str]:
    return [f"n{number}" for number in range(1, swarm.nodes + 1)]


def _operations(seed: int, clients: list[str], config: ScheduleConfig, until_us: int) -> list[Operation]:
    """The operations of the clients: on keys, or on a queue, or half of each, as the target has them."""
    if not config.has_queue:
        return draw_operations(seed, clients, config.ops_per_second, until_us)
    rate = config.ops_per_second / 2 if config.has_keys else config.ops_per_second
    on_keys = draw_operations(seed, clients, rate, until_us) if config.has_keys else []
    before = Counter(operation.client for operation in on_keys)
    return sorted([*on_keys, *draw_queue(seed, clients, rate, until_us, before)], key=attrgetter("at_us"))
