"""The faults of a schedule: what breaks, when, and for how long.

They come in layers, each with streams of its own:

1. Episodes at random times and anchored ones (`episodes`): the required faults, and sequences that are known
   to matter. A long run has several rounds of them. In some seeds, steered episodes (`steered`) follow the required
   faults instead, one after the other to the end.
2. Single faults at random times, of the kinds and strengths that the seed drew (`swarm`). They leave a majority
   of the nodes undisturbed, so that entries can commit, except where a fault kills a whole majority on purpose.
   Faults of a later kind go around those of earlier kinds, and move none of them.
3. In a wide swarm, background faults: the network of all nodes is bad for a while, then good again. Most mistakes show
   only when messages arrive late, twice or out of order across elections. A network that is always bad would elect
   no leader, and show nothing. The last window is calm, so that faults that wait for a leader get one. Steered
   episodes, which wait for one election after the other, have a calm network throughout.

Each fault then draws its details: for a kill, how many bytes reach the disk, and the point of a step at which it comes.

The unit of time is the longest election timeout. Every fault at a random time ends within the safety phase.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from random import Random
from typing import NamedTuple

import msgspec

from raft_chaos.chaos.faults import grudge
from raft_chaos.chaos.faults.action import Action, Room, Strength, nodes_of, some
from raft_chaos.chaos.faults.catalogue import KINDS, FaultKind
from raft_chaos.chaos.faults.names import LEADER
from raft_chaos.chaos.faults.network import Network, NetworkStrength
from raft_chaos.chaos.faults.partition import Partition
from raft_chaos.chaos.schedule.config import ScheduleConfig
from raft_chaos.chaos.schedule.data import Fault, When
from raft_chaos.chaos.schedule.episodes import Draft, anchored, at_times, churn, divided
from raft_chaos.chaos.schedule.steered.catalogue import (
    FIRST_ELECTION,
    LOST_TRANSFER,
    OUTAGES,
    QUIET,
    Window,
    episode_of,
    in_turns,
)
from raft_chaos.chaos.schedule.steered.plot import Plot, Steered
from raft_chaos.chaos.schedule.steered.quiet import window
from raft_chaos.chaos.schedule.streams import stream
from raft_chaos.chaos.schedule.swarm import Swarm, shared

ROUND_TIMEOUTS = 60
"""A round of episodes takes about this many election timeouts: 18 s for 300 ms."""

WINDOW_TIMEOUTS = (8, 20)
"""The length of a window of the background: long enough for delayed messages to meet a few elections."""
CALM_TIMEOUTS = 10
"""The least length of the calm at the end: time to elect a leader, and for the faults that waited for it."""
CALM = 1 / 3
DAMAGED_LATE = 1 / 3
"""Nodes are damaged for good in the last part of the safety phase: before, the cluster is whole."""

STEERED_AFTER_TIMEOUTS = 16
"""Steered episodes begin so many election timeouts after the first fault: room for the required faults."""


class Drawn(NamedTuple):
    """A fault, and the episode to which it belongs, "" for none."""

    fault: Fault
    episode: str


def draw_faults(seed: int, config: ScheduleConfig, swarm: Swarm, nodes: list[str]) -> list[Drawn]:
    """All faults for `nodes`: those at fixed times first, by time, then the anchored ones. Ids: "f01", "f02", ..."""
    from_us, until_us = round(config.warmup_s * 1e6), round(config.duration_s * 1e6)
    unit = config.election_timeout_us_max
    rounds = max(1, (until_us - from_us) // (ROUND_TIMEOUTS * unit))
    round_us = (until_us - from_us) // rounds

    steered = _steered(seed, config, swarm, nodes, from_us, until_us)
    if steered:
        rounds, round_us = 1, steered[0].at_us - from_us
    timed: list[Draft] = []
    at_events: list[tuple[When, Draft]] = []
    for number in range(rounds):
        rng = stream(seed, f"faults/episodes/{number}")
        timed += at_times(rng, config, nodes, from_us + number * round_us, round_us)
        if not steered:
            at_events += anchored(stream(seed, f"faults/anchored/{number}"), config, nodes, number)
    at_events += churn(stream(seed, "faults/churn"), config, swarm)
    at_events += divided(stream(seed, "faults/divided"), config, swarm, nodes)
    reserved = [Draft(window.at_us, Partition("halves", {}), window.lasts_us) for window in steered]
    singles = _singles(seed, config, swarm, nodes, [*timed, *reserved])
    # A required kill must happen, and a node may never reach a failpoint: these kills have no failpoint.
    certain = {**swarm.strengths, "kill": msgspec.structs.replace(swarm.of("kill"), failpoint=0.0)}
    timed = _detailed(seed, "episodes", timed, certain)
    for layer, drafts in singles.items():
        timed += _detailed(seed, layer, drafts, swarm.strengths)
    if not steered:
        timed += _background(seed, config, swarm.of("network"), nodes)
    anchored_drafts = _detailed(seed, "anchored", [draft for _, draft in at_events], swarm.strengths)

    timed.sort(key=lambda draft: draft.after_us)
    planned = [(When(at_us=draft.after_us), draft) for draft in timed]
    planned += [(when, draft) for (when, _), draft in zip(at_events, anchored_drafts, strict=True)]
    digits = max(2, len(str(len(planned))))
    drawn = [
        Drawn(
            Fault(id=f"f{number:0{digits}}", when=when, action=draft.action, duration_us=draft.duration_us),
            draft.episode,
        )
        for number, (when, draft) in enumerate(planned, 1)
    ]
    for episode, at_us in _on_top(seed, config, swarm, from_us, until_us):
        plot = Plot(f"s00-{episode.name}", When(at_us=at_us), stream(seed, f"faults/{episode.name}"), unit, False)
        episode.build(plot)
        drawn += [Drawn(fault, episode.name) for fault in plot.faults]
    in_windows = chain.from_iterable(window.faults for window in steered)
    return [*drawn, *(Drawn(fault, episode_of(fault.id)) for fault in in_windows)]


# ---- steered episodes --------------------------------------------------------------------------------------------


def _on_top(seed: int, config: ScheduleConfig, swarm: Swarm, from_us: int, until_us: int) -> list[tuple[Steered, int]]:
    """The episodes that come on top of the other faults, by name, and when they begin. An outage needs room."""
    unit = config.election_timeout_us_max
    begins: list[tuple[Steered, int]] = []
    if swarm.early:
        begins.append((FIRST_ELECTION, 0))
    if swarm.lost_transfer:
        begins.append((LOST_TRANSFER, max(from_us, until_us - LOST_TRANSFER.timeouts * unit)))
    if swarm.quiet:
        begins.append((QUIET, quiet_us(seed, config)[0]))
    for name in swarm.outages:
        latest_us = until_us - OUTAGES[name].timeouts * unit
        if latest_us >= from_us:
            begins.append((OUTAGES[name], stream(seed, f"faults/{name}/begins").randint(from_us, latest_us)))
    return sorted(begins, key=lambda begin: begin[0].name)


def quiet_us(seed: int, config: ScheduleConfig) -> tuple[int, int]:
    """The time in which the clients of a quiet seed are silent, within the safety phase."""
    from_us, until_us = round(config.warmup_s * 1e6), round(config.duration_s * 1e6)
    return window(stream(seed, "workload/quiet"), config.election_timeout_us_max, from_us, until_us)


def _steered(
    seed: int, config: ScheduleConfig, swarm: Swarm, nodes: list[str], from_us: int, until_us: int
) -> list[Window]:
    """The seed's steered episodes, after the required faults. None if there is no room for one."""
    unit = config.election_timeout_us_max
    from_us += STEERED_AFTER_TIMEOUTS * unit
    return in_turns(swarm.steered, stream(seed, "faults/steered"), nodes, unit, from_us, until_us)


# ---- single faults -----------------------------------------------------------------------------------------------


def _singles(
    seed: int, config: ScheduleConfig, swarm: Swarm, nodes: list[str], timed: list[Draft]
) -> dict[str, list[Draft]]:
    """The single faults, placed around those in `timed`: name of the stream -> the faults drawn from it.

    The first kinds share a stream. Faults of each later kind go around those of earlier kinds, and are about as
    frequent as those of one earlier kind.
    """
    first = shared(config)
    together = [kind for kind in swarm.kinds if kind in first]
    layers = {"singles": _at_random(seed, "singles", config, swarm, together, swarm.fault_interval_s, nodes, timed)}
    for kind in KINDS:
        if kind not in first and (times := swarm.kinds.count(kind)):
            gap_s = swarm.fault_interval_s * max(1, len(together)) / times
            others = [*timed, *chain.from_iterable(layers.values())]
            layer = f"singles/{kind}"
            layers[layer] = _at_random(seed, layer, config, swarm, [kind], gap_s, nodes, others)
    return layers


def _at_random(
    seed: int,
    layer: str,
    config: ScheduleConfig,
    swarm: Swarm,
    kinds: list[FaultKind],
    gap_s: float,
    nodes: list[str],
    planned: list[Draft],
) -> list[Draft]:
    """Faults of these kinds over the safety phase, with exponential gaps of the mean `gap_s`."""
    rng, unit = stream(seed, f"faults/{layer}"), config.election_timeout_us_max
    until_us = round(config.duration_s * 1e6)
    at_us = round(config.warmup_s * 1e6)
    damage_from_us = until_us - round((until_us - at_us) * DAMAGED_LATE)
    drafts: list[Draft] = []
    while kinds and (at_us := at_us + round(rng.expovariate(1 / gap_s) * 1e6)) < until_us - unit:
        duration_us = min(rng.randint(3 * unit, 10 * unit), until_us - at_us)
        # What a fault damaged stays down until the end, however long ago the fault itself was over.
        others = [
            draft
            for draft in planned + drafts
            if draft.after_us < at_us + duration_us + unit and (at_us < draft.end_us + unit or draft.action.ends_nodes)
        ]
        kind = rng.choice(kinds)
        damageable = []
        if at_us > damage_from_us:
            damageable = _damageable(seed, nodes, planned + drafts, _first_voters(swarm, nodes))
        single = _single(rng, config, kind, swarm, nodes, others, duration_us, damageable)
        if single is not None:
            drafts.append(Draft(at_us, *single))
    return drafts


def _single(
    rng: Random,
    config: ScheduleConfig,
    kind: FaultKind,
    swarm: Swarm,
    nodes: list[str],
    others: list[Draft],
    most_us: int,
    damageable: list[str],
) -> tuple[Action, int] | None:
    """One fault and its duration, or None if `others`, the faults at the same time, leave no room for the kind."""
    disturbed = sum(draft.action.disturbed(len(nodes)) for draft in others)
    voters = _first_voters(swarm, nodes)
    spare = voters - grudge.majority_of(voters) - disturbed
    down = [name for draft in others if draft.action.stops_nodes for name in nodes_of(draft.action)]
    if KINDS[kind].disturbs and spare < 1:
        return None
    room = Room(
        rng=rng,
        nodes=nodes,
        timeout_us=config.election_timeout_us_max,
        strength=swarm.of(kind),
        spare=spare,
        # A seed does not know which node "leader" will be. While a leader is down, the only node that is certainly up
        # is the next leader.
        up=[LEADER] if LEADER in down else [node for node in nodes if node not in down],
        crowded=bool(others),
        most_us=most_us,
        damageable=damageable,
        reads_back=swarm.features.cache_bytes > 0,
        compacts=swarm.features.snapshot_every > 0,
    )
    action = KINDS[kind].draw(room)
    return None if action is None else (action, action.drawn_us(room))


def _first_voters(swarm: Swarm, nodes: list[str]) -> int:
    """How many nodes vote when the cluster begins (§6). The others may never join, so only a minority of these can be
    spared."""
    return min(swarm.features.first_voters or len(nodes), len(nodes))


def _damageable(seed: int, nodes: list[str], drafts: list[Draft], voters: int) -> list[str]:
    """The nodes that one more fault may damage for good: of a minority that the seed draws, those that are left. If
    only some nodes vote at first, a minority of these."""
    count = voters - grudge.majority_of(voters)
    damaged = [name for draft in drafts if draft.action.ends_nodes for name in nodes_of(draft.action)]
    return [node for node in some(stream(seed, "faults/damaged"), nodes, count) if node not in damaged]


# ---- background faults -------------------------------------------------------------------------------------------


def _background(seed: int, config: ScheduleConfig, most: NetworkStrength, nodes: list[str]) -> list[Draft]:
    """One network fault on all nodes for each window that is not calm. None unless the swarm is wide."""
    if not config.swarm or not (most.loss or most.duplicate or most.reorder or most.delay_mean_us):
        return []
    unit = config.election_timeout_us_max
    at_us = round(config.warmup_s * 1e6)
    calm_from_us = round(config.duration_s * 1e6) - CALM_TIMEOUTS * unit
    windows: list[Draft] = []
    number = 0
    while (room_us := calm_from_us - at_us) >= WINDOW_TIMEOUTS[0] * unit:
        rng = stream(seed, f"faults/weather/{number}")  # a name that the seeds written down depend on
        lasts_us = min(rng.randint(WINDOW_TIMEOUTS[0] * unit, WINDOW_TIMEOUTS[1] * unit), room_us)
        if rng.random() >= CALM:
            windows.append(Draft(at_us, Network.of_all(rng, nodes, most), lasts_us))
        at_us += lasts_us
        number += 1
    return windows


# ---- details -----------------------------------------------------------------------------------------------------


def _detailed(seed: int, layer: str, drafts: Sequence[Draft], strengths: Mapping[FaultKind, Strength]) -> list[Draft]:
    """The same drafts with the details that each draws. The stream has the name of its first use: a crash's bytes."""
    return [
        draft._replace(
            action=draft.action.detailed(stream(seed, f"faults/crash/{layer}/{number}"), strengths[draft.action.kind()])
        )
        for number, draft in enumerate(drafts)
    ]
