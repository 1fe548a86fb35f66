"""The faults of a schedule: what breaks, when, and for how long.

They come in layers, each with streams of its own:

1. Episodes at random times and anchored ones (`episodes`): what every schedule requires, and what is known
   to matter. A long run has several rounds of them.
2. Single faults at random times, of the kinds and strengths that the seed drew (`swarm`). They leave a majority
   of the nodes undisturbed, so that there is something to lose, except where a whole majority is killed on purpose.
   A kind that joins later is fitted in around those before it, and moves none of them.
3. In a wide swarm, background faults: the network of all nodes is bad for a while, then good again. Most mistakes show
   only where messages come late, twice or out of order across elections; but with that all the time nobody is ever
   elected, and nothing shows. The last window is calm, so that faults that wait for a leader get one.

Each fault then draws details by itself: of a kill, what reaches the disk, and at which point of a step it comes.

The unit of time is the longest election timeout. Everything at a random time ends within the safety phase.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from random import Random

import msgspec

from raft_chaos.chaos.faults import grudge
from raft_chaos.chaos.faults.action import Action, OnNodes, Room, Strength
from raft_chaos.chaos.faults.catalogue import KINDS, FaultKind
from raft_chaos.chaos.faults.names import LEADER
from raft_chaos.chaos.faults.network import Network, NetworkStrength
from raft_chaos.chaos.schedule.config import ScheduleConfig
from raft_chaos.chaos.schedule.data import Fault, When
from raft_chaos.chaos.schedule.episodes import Draft, anchored, at_times, churn, divided
from raft_chaos.chaos.schedule.streams import stream
from raft_chaos.chaos.schedule.swarm import LATER, SHARED, Swarm

ROUND_TIMEOUTS = 60
"""A round of episodes takes about this many election timeouts: 18 s for 300 ms."""

WINDOW_TIMEOUTS = (8, 20)
"""How long the background stays as it is: long enough for what it delays to meet a few elections."""
CALM_TIMEOUTS = 10
"""How long it is calm at the end, at least: time to elect a leader, and for what waited for one to happen to it."""
CALM = 1 / 3


def draw_faults(seed: int, config: ScheduleConfig, swarm: Swarm, nodes: list[str]) -> list[Fault]:
    """All faults for `nodes`: those at a time first, in its order, then the anchored ones. Ids are "f01", "f02", ..."""
    from_us, until_us = round(config.warmup_s * 1e6), round(config.duration_s * 1e6)
    rounds = max(1, (until_us - from_us) // (ROUND_TIMEOUTS * config.election_timeout_us_max))
    round_us = (until_us - from_us) // rounds

    timed: list[Draft] = []
    at_events: list[tuple[When, Draft]] = []
    for number in range(rounds):
        rng = stream(seed, f"faults/episodes/{number}")
        timed += at_times(rng, config, nodes, from_us + number * round_us, round_us)
        at_events += anchored(stream(seed, f"faults/anchored/{number}"), config, nodes, number)
    at_events += churn(stream(seed, "faults/churn"), config, swarm)
    at_events += divided(stream(seed, "faults/divided"), config, swarm, nodes)
    singles = _singles(seed, config, swarm, nodes, timed)
    # What is required must happen, and a point within a step may never be reached: these kills have none.
    certain = {**swarm.strengths, "kill": msgspec.structs.replace(swarm.of("kill"), failpoint=0.0)}
    timed = _detailed(seed, "episodes", timed, certain)
    for layer, drafts in singles.items():
        timed += _detailed(seed, layer, drafts, swarm.strengths)
    timed += _background(seed, config, swarm.of("network"), nodes)
    anchored_drafts = _detailed(seed, "anchored", [draft for _, draft in at_events], swarm.strengths)

    timed.sort(key=lambda draft: draft.after_us)
    planned = [(When(at_us=draft.after_us), draft) for draft in timed]
    planned += [(when, draft) for (when, _), draft in zip(at_events, anchored_drafts, strict=True)]
    digits = max(2, len(str(len(planned))))
    return [
        Fault(id=f"f{number:0{digits}}", when=when, action=draft.action, duration_us=draft.duration_us)
        for number, (when, draft) in enumerate(planned, 1)
    ]


# ---- single faults -----------------------------------------------------------------------------------------------


def _singles(
    seed: int, config: ScheduleConfig, swarm: Swarm, nodes: list[str], timed: list[Draft]
) -> dict[str, list[Draft]]:
    """The single faults around what is already in `timed`, by the streams that they are drawn from.

    The kinds that were there first share a stream. Each later one is fitted in around the faults of those before it,
    about as often as one of them.
    """
    shared = [kind for kind in swarm.kinds if kind in SHARED]
    layers = {"singles": _at_random(seed, "singles", config, swarm, shared, swarm.fault_interval_s, nodes, timed)}
    for kind in LATER:
        if times := swarm.kinds.count(kind):
            gap_s = swarm.fault_interval_s * max(1, len(shared)) / times
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
    drafts: list[Draft] = []
    while kinds and (at_us := at_us + round(rng.expovariate(1 / gap_s) * 1e6)) < until_us - unit:
        duration_us = min(rng.randint(3 * unit, 10 * unit), until_us - at_us)
        others = [
            draft
            for draft in planned + drafts
            if draft.after_us < at_us + duration_us + unit and at_us < draft.end_us + unit
        ]
        single = _single(rng, config, rng.choice(kinds), swarm, nodes, others, duration_us)
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
) -> tuple[Action, int] | None:
    """One fault and how long it lasts, or None where `others`, those at the same time, leave no room for the kind."""
    disturbed = sum(draft.action.disturbed(len(nodes)) for draft in others)
    spare = len(nodes) - grudge.majority_of(len(nodes)) - disturbed
    down = [
        name
        for draft in others
        if isinstance(draft.action, OnNodes) and draft.action.stops_nodes
        for name in draft.action.nodes
    ]
    if KINDS[kind].disturbs and spare < 1:
        return None
    room = Room(
        rng=rng,
        nodes=nodes,
        timeout_us=config.election_timeout_us_max,
        strength=swarm.of(kind),
        spare=spare,
        # Whom "leader" was is not known here: with one down, the next to choose is again the leader, who is up for
        # certain.
        up=[LEADER] if LEADER in down else [node for node in nodes if node not in down],
        crowded=bool(others),
        most_us=most_us,
    )
    action = KINDS[kind].draw(room)
    return None if action is None else (action, action.drawn_us(room))


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
    """The same drafts with what each draws by itself. The stream is named after the first use: what a crash leaves."""
    return [
        draft._replace(
            action=draft.action.detailed(stream(seed, f"faults/crash/{layer}/{number}"), strengths[draft.action.kind()])
        )
        for number, draft in enumerate(drafts)
    ]
