"""The faults of a schedule: what breaks, when, and for how long.

They come in layers, each with streams of its own:

1. Episodes at random times and anchored ones (`episodes`): what every schedule promises, and what is known
   to matter. A long run has several rounds of them.
2. Single faults at random times, of the kinds and strengths that the seed drew (`swarm`). They leave a majority
   of the nodes undisturbed, so that there is something to lose, except where a whole majority is killed on purpose.
3. In a wide swarm, weather: the network of all nodes is bad for a while, then clears up. Most mistakes show only where
   messages come late, twice or out of order across elections; but with that all the time nobody is ever elected, and
   nothing shows. The last window is calm, so that faults that wait for a leader get one.

What a crash leaves on the disk, and at which point of a step it comes, is drawn for each kill by itself.

The unit of time is the longest election timeout. Everything at a random time ends within the safety phase.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import msgspec

from raft_chaos.chaos.faults import grudge
from raft_chaos.chaos.faults.actions import (
    LEADER,
    OTHERS,
    Action,
    Clock,
    Clog,
    FaultKind,
    Grudge,
    Kill,
    Network,
    Partition,
    Pause,
    Reset,
    SlowSync,
)
from raft_chaos.chaos.schedule.config import ScheduleConfig
from raft_chaos.chaos.schedule.data import Fault, When
from raft_chaos.chaos.schedule.episodes import Draft, anchored, at_times, churn, divided
from raft_chaos.chaos.schedule.streams import stream
from raft_chaos.chaos.schedule.swarm import Swarm, some

ROUND_TIMEOUTS = 60
"""A round of episodes takes about this many election timeouts: 18 s for 300 ms."""

WINDOW_TIMEOUTS = (8, 20)
"""How long the weather stays as it is: long enough for what it delays to meet a few elections."""
CALM_TIMEOUTS = 10
"""How long it is calm at the end, at least: time to elect a leader, and for what waited for one to happen to it."""
CALM = 1 / 3

PERMILLE = 1000


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
    singles = _singles(stream(seed, "faults/singles"), config, swarm, nodes, timed)
    # What was promised must happen, and a point within a step may never be reached: these kills have none.
    timed = _crashes(seed, "episodes", timed, msgspec.structs.replace(swarm, failpoint=0.0))
    timed += _crashes(seed, "singles", singles, swarm)
    timed += _weather(seed, config, swarm, nodes)
    crashes = _crashes(seed, "anchored", [draft for _, draft in at_events], swarm)

    timed.sort(key=lambda draft: draft.after_us)
    planned = [(When(at_us=draft.after_us), draft) for draft in timed]
    planned += [(when, draft) for (when, _), draft in zip(at_events, crashes, strict=True)]
    digits = max(2, len(str(len(planned))))
    return [
        Fault(id=f"f{number:0{digits}}", when=when, action=draft.action, duration_us=draft.duration_us)
        for number, (when, draft) in enumerate(planned, 1)
    ]


# ---- single faults -----------------------------------------------------------------------------------------------


def _singles(rng: Random, config: ScheduleConfig, swarm: Swarm, nodes: list[str], timed: list[Draft]) -> list[Draft]:
    """Single faults with exponential gaps over the safety phase, around what is already in `timed`."""
    unit = config.election_timeout_us_max
    from_us, until_us = round(config.warmup_s * 1e6), round(config.duration_s * 1e6)
    singles: list[Draft] = []
    at_us = from_us
    while swarm.kinds and (at_us := at_us + round(rng.expovariate(1 / swarm.fault_interval_s) * 1e6)) < until_us - unit:
        duration_us = min(rng.randint(3 * unit, 10 * unit), until_us - at_us)
        others = [
            draft
            for draft in timed + singles
            if draft.after_us < at_us + duration_us + unit and at_us < draft.end_us + unit
        ]
        action = _single(rng, config, rng.choice(swarm.kinds), swarm, nodes, others, duration_us)
        if action is not None:
            singles.append(Draft(at_us, action, _lasts_us(rng, action, duration_us, swarm, unit)))
    return singles


def _lasts_us(rng: Random, action: Action, most_us: int, swarm: Swarm, unit: int) -> int:
    match action:
        case Kill():
            return max(action.restart_after_us)
        case Clog():
            longest_us = min(swarm.clog_us, most_us)
            return rng.randint(min(unit // 2, longest_us), longest_us)
        case Reset():
            return 0
        case _:
            return most_us


def _single(
    rng: Random,
    config: ScheduleConfig,
    kind: FaultKind,
    swarm: Swarm,
    nodes: list[str],
    others: list[Draft],
    most_us: int,
) -> Action | None:
    """One fault, or None where `others`, those at the same time, leave no room for one of that kind."""
    room = len(nodes) - grudge.majority_of(len(nodes)) - sum(_disturbed(draft.action, len(nodes)) for draft in others)
    down = [name for draft in others if isinstance(draft.action, Kill | Pause) for name in draft.action.nodes]
    if kind in ("kill", "pause", "partition", "clog") and room < 1:
        return None
    # Whom "leader" was is not known here: with one down, the next to choose is again the leader, who is up for certain.
    up = [LEADER] if LEADER in down else [node for node in nodes if node not in down]
    match kind:
        case "kill":
            return _single_kill(rng, nodes, up, room, bool(others), most_us)
        case "pause":
            return Pause([LEADER if rng.random() < 0.5 else rng.choice(up)])
        case "partition":
            if most_us < 3 * config.election_timeout_us_max:
                return None  # too short for those who are cut off to notice: some links would carry nothing
            shape = rng.choice(swarm.shapes)
            partition = Partition(shape, grudge.make(shape, nodes, rng))
            return partition if _disturbed(partition, len(nodes)) <= room else None
        case "slow_sync":
            return SlowSync(
                some(rng, nodes, rng.randint(1, len(nodes))), rng.randint(0, 20_000), rng.randint(20_000, 50_000)
            )
        case "network":
            delay_max_us = int(swarm.delay_us * rng.uniform(0.2, 1))
            loss, duplicate, reorder = (
                round(most * rng.uniform(0.2, 1), 3) for most in (swarm.loss, swarm.duplicate, swarm.reorder)
            )
            targets = [LEADER] if rng.random() < 0.2 else some(rng, nodes, rng.randint(1, len(nodes)))
            return Network(targets, int(delay_max_us * rng.uniform(0, 0.5)), delay_max_us, loss, duplicate, reorder)
        case "clog":
            return Clog(_clogged(rng, nodes))
        case "reset":
            targets = [LEADER] if rng.random() < 0.4 else some(rng, nodes, rng.randint(1, len(nodes)))
            return Reset(targets, rng.choice((0.0, 0.5, 1.0)))
        case "clock":
            return _clock(rng, swarm, nodes)


def _single_kill(rng: Random, nodes: list[str], up: list[str], room: int, crowded: bool, most_us: int) -> Kill:
    """The leader, one node, a minority, or where nothing else happens a majority; half of the restarts are at once."""
    style = rng.choices(("leader", "one", "minority", "majority"), weights=(45, 25, 20, 10))[0]
    if style == "leader" or up == [LEADER]:
        killed = [LEADER]
    elif style == "majority" and not crowded:
        killed = some(rng, nodes, grudge.majority_of(len(nodes)))
    else:
        killed = some(rng, up, min(len(up), rng.randint(1, room) if style == "minority" else 1))
    return Kill(killed, [0 if rng.random() < 0.5 else rng.randint(0, most_us) for _ in killed])


def _clogged(rng: Random, nodes: list[str]) -> Grudge:
    """One link to or from the leader, as only these always carry something, or all of one node's in some direction.

    A link that is clogged for a whole election hands the old leader's words to a node that has voted for the new one.
    """
    style = rng.choice(("link", "leader", "one_way", "one"))
    if style == "link":
        node = rng.choice(nodes)
        return {node: [LEADER]} if rng.random() < 0.5 else {LEADER: [node]}
    if style == "leader":
        return {LEADER: [OTHERS]} if rng.random() < 0.5 else {OTHERS: [LEADER]}
    return grudge.make("one_way" if style == "one_way" else "one", nodes, rng)


def _clock(rng: Random, swarm: Swarm, nodes: list[str]) -> Clock:
    """At least a tenth of what the seed allows: a smaller change would be none."""
    rate_ppm = rng.randint(swarm.clock_ppm // 10, swarm.clock_ppm) * rng.choice((-1, 1))
    jump_us = rng.randint(swarm.clock_jump_us // 10, swarm.clock_jump_us)
    targets = [LEADER] if rng.random() < 0.3 else some(rng, nodes, rng.randint(1, len(nodes)))
    return Clock(targets, rate_ppm, jump_us)


def _disturbed(action: Action, count: int) -> int:
    """How many of `count` nodes are down, stopped or apart at most."""
    match action:
        case Kill() | Pause():
            return len(action.nodes)
        case Partition(shape, _):
            return 1 if shape in ("one", "isolate_leader", "one_way") else count - grudge.majority_of(count)
        case Clog():
            return 1
        case SlowSync() | Network() | Reset() | Clock():
            return 0


# ---- weather -----------------------------------------------------------------------------------------------------


def _weather(seed: int, config: ScheduleConfig, swarm: Swarm, nodes: list[str]) -> list[Draft]:
    """One network fault on all nodes for each window that is not calm. None unless the swarm is wide."""
    if not config.swarm or not (swarm.loss or swarm.duplicate or swarm.reorder or swarm.delay_mean_us):
        return []
    unit = config.election_timeout_us_max
    at_us = round(config.warmup_s * 1e6)
    calm_from_us = round(config.duration_s * 1e6) - CALM_TIMEOUTS * unit
    windows: list[Draft] = []
    number = 0
    while (room_us := calm_from_us - at_us) >= WINDOW_TIMEOUTS[0] * unit:
        rng = stream(seed, f"faults/weather/{number}")
        lasts_us = min(rng.randint(WINDOW_TIMEOUTS[0] * unit, WINDOW_TIMEOUTS[1] * unit), room_us)
        if rng.random() >= CALM:
            windows.append(Draft(at_us, _bad_weather(rng, swarm, nodes), lasts_us))
        at_us += lasts_us
        number += 1
    return windows


def _bad_weather(rng: Random, swarm: Swarm, nodes: list[str]) -> Network:
    """Each trouble that the seed has, at 30 to 100 % of its strength."""
    loss, duplicate, reorder = (
        round(most * rng.uniform(0.3, 1), 3) for most in (swarm.loss, swarm.duplicate, swarm.reorder)
    )
    delay_mean_us = round(swarm.delay_mean_us * rng.uniform(0.3, 1))
    return Network(nodes, loss=loss, duplicate=duplicate, reorder=reorder, delay_mean_us=delay_mean_us)


# ---- crashes -----------------------------------------------------------------------------------------------------


def _crashes(seed: int, layer: str, drafts: Sequence[Draft], swarm: Swarm) -> list[Draft]:
    """The same drafts; their kills now say what reaches the disk, and at which point of a step they come."""
    return [
        draft._replace(action=_crash(stream(seed, f"faults/crash/{layer}/{number}"), draft.action, swarm))
        if isinstance(draft.action, Kill)
        else draft
        for number, draft in enumerate(drafts)
    ]


def _crash(rng: Random, kill: Kill, swarm: Swarm) -> Kill:
    """Each node keeps all of its unsynced bytes, a part, or none. Only a node that is killed alone waits for a point:
    a power loss is one because all go at the same moment."""
    waits, point = rng.random() < swarm.failpoint, rng.random()
    keep = [_keep_permille(rng, swarm) for _ in kill.nodes]
    return msgspec.structs.replace(
        kill,
        keep_permille=keep if any(keep) else [],
        failpoint=swarm.failpoints[int(point * len(swarm.failpoints))] if waits and len(kill.nodes) == 1 else None,
    )


def _keep_permille(rng: Random, swarm: Swarm) -> int:
    style, part = rng.random(), rng.randint(1, PERMILLE - 1)
    if style < swarm.torn:
        return part
    return PERMILLE if style < swarm.torn + swarm.keep_all else 0
