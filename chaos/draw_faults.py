"""The faults of a schedule: what breaks, when, and for how long.

They come in three layers, each with a stream of its own:

1. Episodes at random times: what every schedule promises (a leader killed, a leader isolated) and what is known to
   matter (a power loss before a sync, a log gone stale). A long run has several rounds of them.
2. Anchored episodes, fired by the protocol itself: at a fresh leader, at a granted vote. They hit the narrow windows
   that a random time misses, and hit them again when the schedule is repeated.
3. Single faults at random times, from kinds and strengths that each seed draws for itself (swarm testing, Groce et al.
   2012): a run with fewer kinds of faults drives those further. They leave a majority of the nodes undisturbed, so that
   there is something to lose, except where a whole majority is killed on purpose.

The unit of time is the longest election timeout. Everything at a random time ends within the safety phase.
"""

from __future__ import annotations

from random import Random
from typing import NamedTuple, TypeAlias, TypeVar

from chaos import grudge
from chaos.schedule import (
    LEADER,
    OTHERS,
    VOTER,
    Action,
    AnchorEvent,
    Fault,
    Kill,
    Network,
    Partition,
    Pause,
    Shape,
    SlowSync,
    When,
)
from chaos.schedule_config import FaultKind, ScheduleConfig
from chaos.streams import stream

T = TypeVar("T")

ROUND_TIMEOUTS = 60
"""A round of episodes takes about this many election timeouts: 18 s for 300 ms."""


class Draft(NamedTuple):
    """A fault without id and anchor: what it does, how long (µs), and how many µs after the beginning.

    The beginning is that of its episode, or of the run once the episode has its place in time.
    """

    after_us: int
    action: Action
    duration_us: int

    @property
    def end_us(self) -> int:
        return self.after_us + self.duration_us


Episode: TypeAlias = list[Draft]


class Swarm(NamedTuple):
    """What one seed drew: kinds of single faults, shapes of partitions, and the worst that the network gets."""

    kinds: list[FaultKind]
    shapes: list[Shape]
    delay_us: int
    loss: float
    duplicate: float
    reorder: float


def draw_faults(seed: int, config: ScheduleConfig, nodes: list[str]) -> list[Fault]:
    """All faults for `nodes`: those at a time first, in its order, then the anchored ones. Ids are "f01", "f02", ..."""
    from_us, until_us = round(config.warmup_s * 1e6), round(config.duration_s * 1e6)
    rounds = max(1, (until_us - from_us) // (ROUND_TIMEOUTS * config.election_timeout_us_max))
    round_us = (until_us - from_us) // rounds

    timed: list[Draft] = []
    anchored: list[tuple[When, Draft]] = []
    for number in range(rounds):
        rng = stream(seed, f"faults/episodes/{number}")
        timed += _episodes(rng, config, nodes, from_us + number * round_us, round_us)
        anchored += _anchored(stream(seed, f"faults/anchored/{number}"), config, nodes, number)
    swarm = _swarm(stream(seed, "faults/swarm"), config)
    timed += _singles(stream(seed, "faults/singles"), config, swarm, nodes, timed)

    timed.sort(key=lambda draft: draft.after_us)
    planned = [(When(at_us=draft.after_us), draft) for draft in timed] + anchored
    digits = max(2, len(str(len(planned))))
    return [
        Fault(id=f"f{number:0{digits}}", when=when, action=draft.action, duration_us=draft.duration_us)
        for number, (when, draft) in enumerate(planned, 1)
    ]


# ---- episodes ----------------------------------------------------------------------------------------------------


def _episodes(rng: Random, config: ScheduleConfig, nodes: list[str], from_us: int, round_us: int) -> list[Draft]:
    """One round: the promised episodes, and of the others those that there is room for, one after the other."""
    unit, kinds = config.election_timeout_us_max, config.faults
    chosen: list[Episode] = []
    if "kill" in kinds:
        chosen.append(_kill_leader(rng, 2 * unit, max(2 * unit, min(6 * unit, round_us // 4))))
    if "partition" in kinds:
        chosen.append(_isolate_leader(rng, 3 * unit, max(3 * unit, min(10 * unit, round_us // 3))))
    power_loss, stale_log = _power_loss(rng, nodes, unit), _stale_log(rng, nodes, unit)
    wanted_power_loss, wanted_stale_log = rng.random() < 0.9, rng.random() < 0.5
    gap_us = 2 * unit  # for the election that each of them brings about
    for episode, wanted in (
        (power_loss, wanted_power_loss and "kill" in kinds and "slow_sync" in kinds),
        (stale_log, wanted_stale_log and "kill" in kinds and "partition" in kinds),
    ):
        if wanted and _length([*chosen, episode], gap_us) <= round_us:
            chosen.append(episode)

    rng.shuffle(chosen)
    slack_us = round_us - _length(chosen, gap_us)
    starts = sorted(rng.randint(0, slack_us) for _ in chosen)
    placed: list[Draft] = []
    begin_us = from_us
    for episode, start in zip(chosen, starts, strict=True):
        placed += [draft._replace(after_us=begin_us + start + draft.after_us) for draft in episode]
        begin_us += _length([episode], gap_us) + gap_us
    return placed


def _length(episodes: list[Episode], gap_us: int) -> int:
    """How long they take in a row, with a gap between each two (µs)."""
    return sum(max(draft.end_us for draft in episode) + gap_us for episode in episodes) - gap_us


def _kill_leader(rng: Random, least_us: int, most_us: int) -> Episode:
    """The leader is killed and starts again when the others have had time to elect another."""
    return [_kill([LEADER], [rng.randint(least_us, most_us)])]


def _isolate_leader(rng: Random, least_us: int, most_us: int) -> Episode:
    """The leader is cut off for long enough that the others elect another, and that it goes on without knowing."""
    return [Draft(0, Partition("isolate_leader", grudge.isolate_leader([], rng)), rng.randint(least_us, most_us))]


def _power_loss(rng: Random, nodes: list[str], unit: int) -> Episode:
    """While syncs are slow all nodes, or a majority with the leader, are killed at once; the old leader returns last.

    What was acknowledged before it was synced is then gone from the followers, and they elect a leader without it:
    a committed entry is lost (§5.4.1). Were the old leader back in time, its log would win and hide the loss. The gap
    between acknowledged and synced is widest where the leader's own disk is not slow.
    """
    least = len(nodes) - grudge.majority_of(len(nodes))
    slow = [OTHERS] if rng.random() < 0.7 else _some(rng, nodes, rng.randint(least, len(nodes)))
    together = nodes if rng.random() < 0.6 else _some(rng, nodes, grudge.majority_of(len(nodes)))
    kill = _kill([LEADER, *together], [rng.randint(3 * unit, 6 * unit), *(0 for _ in together)])
    return [
        Draft(0, SlowSync(slow, rng.randint(20_000, 30_000), rng.randint(35_000, 50_000)), 3 * unit),
        kill._replace(after_us=rng.randint(unit, 2 * unit)),
    ]


def _stale_log(rng: Random, nodes: list[str], unit: int) -> Episode:
    """A follower or a minority misses some entries; once it is back the leader is killed.

    Its term has grown with every election that it called in vain, so its candidacy is heard: only the comparison of
    logs keeps it from becoming leader without the committed entries (§5.4.1).
    """
    shape: Shape = "one" if rng.random() < 0.6 else "halves"
    away_us = rng.randint(3 * unit, 8 * unit)
    kill = _kill([LEADER], [rng.randint(2 * unit, 4 * unit)])
    return [
        Draft(0, Partition(shape, grudge.make(shape, nodes, rng)), away_us),
        kill._replace(after_us=away_us + rng.randint(0, unit)),
    ]


# ---- anchored episodes -------------------------------------------------------------------------------------------


def _anchored(rng: Random, config: ScheduleConfig, nodes: list[str], number: int) -> list[tuple[When, Draft]]:
    """Episodes at the next leaders and votes of the round, of the kinds that there are.

    The first leader, and the votes of as many nodes, belong to the warmup. After that each round sees at least three
    leaders elected, if only because the anchored faults themselves bring down the leaders.
    """
    unit, kinds = config.election_timeout_us_max, config.faults
    at_leader: list[Episode] = []
    at_vote: list[Episode] = []
    if "kill" in kinds:
        at_leader.append(_kill_leader(rng, 0, 4 * unit))
        at_vote.append([_kill([VOTER], [0])])
    elif "partition" in kinds:
        at_leader.append(_isolate_leader(rng, 3 * unit, 6 * unit))
    elif "pause" in kinds:
        at_leader.append([Draft(0, Pause([LEADER]), rng.randint(3 * unit, 6 * unit))])
    if "kill" in kinds and "partition" in kinds:
        settled_us = rng.randint(unit // 2, unit)
        at_leader.append(
            [draft._replace(after_us=settled_us + draft.after_us) for draft in _stale_log(rng, nodes, unit)]
        )
    rng.shuffle(at_leader)

    anchored: list[tuple[When, Draft]] = []
    nth_leader, nth_vote = 2 + 4 * number, len(nodes) + 2 + 3 * len(nodes) * number + rng.randint(0, 1)
    placed: list[tuple[AnchorEvent, int, Episode]] = [
        *(("leader_elected", nth_leader + place, episode) for place, episode in enumerate(at_leader)),
        *(("vote_granted", nth_vote, episode) for episode in at_vote),
    ]
    for event, nth, episode in placed:
        for draft in episode:
            anchored.append((When(on=event, nth=nth, after_us=draft.after_us), draft))
    return anchored


# ---- single faults -----------------------------------------------------------------------------------------------


def _swarm(rng: Random, config: ScheduleConfig) -> Swarm:
    """Kinds that change leaders are always there; of the others, and of shapes and network troubles, some."""
    odds: dict[FaultKind, float] = {"kill": 1.0, "partition": 1.0, "pause": 0.7, "slow_sync": 0.6, "network": 0.8}
    present = {kind: rng.random() < odd for kind, odd in odds.items()}
    shapes = _some(rng, list(grudge.SHAPES), rng.randint(2, len(grudge.SHAPES)))
    troubles = _some(rng, ["delay", "loss", "duplicate", "reorder"], rng.randint(1, 4))
    strengths = {
        "delay": rng.uniform(0.02, 0.3) * config.election_timeout_us_max,
        "loss": rng.uniform(0.01, 0.2),
        "duplicate": rng.uniform(0.01, 0.2),
        "reorder": rng.uniform(0.01, 0.2),
    }
    strength = {trouble: value if trouble in troubles else 0.0 for trouble, value in strengths.items()}
    return Swarm(
        kinds=[kind for kind, there in present.items() if there and kind in config.faults],
        shapes=shapes,
        delay_us=int(strength["delay"]),
        loss=strength["loss"],
        duplicate=strength["duplicate"],
        reorder=strength["reorder"],
    )


def _singles(rng: Random, config: ScheduleConfig, swarm: Swarm, nodes: list[str], timed: list[Draft]) -> list[Draft]:
    """Single faults with exponential gaps over the safety phase, around what is already in `timed`."""
    unit = config.election_timeout_us_max
    from_us, until_us = round(config.warmup_s * 1e6), round(config.duration_s * 1e6)
    singles: list[Draft] = []
    at_us = from_us
    while (
        swarm.kinds and (at_us := at_us + round(rng.expovariate(1 / config.fault_interval_s) * 1e6)) < until_us - unit
    ):
        duration_us = min(rng.randint(3 * unit, 10 * unit), until_us - at_us)
        others = [
            draft
            for draft in timed + singles
            if draft.after_us < at_us + duration_us + unit and at_us < draft.end_us + unit
        ]
        action = _single(rng, config, rng.choice(swarm.kinds), swarm, nodes, others, duration_us)
        if action is None:
            continue
        lasts_us = max(action.restart_after_us) if isinstance(action, Kill) else duration_us
        singles.append(Draft(at_us, action, lasts_us))
    return singles


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
    if kind in ("kill", "pause", "partition") and room < 1:
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
                _some(rng, nodes, rng.randint(1, len(nodes))), rng.randint(0, 20_000), rng.randint(20_000, 50_000)
            )
        case "network":
            delay_max_us = int(swarm.delay_us * rng.uniform(0.2, 1))
            loss, duplicate, reorder = (
                round(most * rng.uniform(0.2, 1), 3) for most in (swarm.loss, swarm.duplicate, swarm.reorder)
            )
            targets = [LEADER] if rng.random() < 0.2 else _some(rng, nodes, rng.randint(1, len(nodes)))
            return Network(targets, int(delay_max_us * rng.uniform(0, 0.5)), delay_max_us, loss, duplicate, reorder)


def _single_kill(rng: Random, nodes: list[str], up: list[str], room: int, crowded: bool, most_us: int) -> Kill:
    """The leader, one node, a minority, or where nothing else happens a majority; half of the restarts are at once."""
    style = rng.choices(("leader", "one", "minority", "majority"), weights=(45, 25, 20, 10))[0]
    if style == "leader" or up == [LEADER]:
        killed = [LEADER]
    elif style == "majority" and not crowded:
        killed = _some(rng, nodes, grudge.majority_of(len(nodes)))
    else:
        killed = _some(rng, up, min(len(up), rng.randint(1, room) if style == "minority" else 1))
    return Kill(killed, [0 if rng.random() < 0.5 else rng.randint(0, most_us) for _ in killed])


def _disturbed(action: Action, count: int) -> int:
    """How many of `count` nodes are down, stopped or apart at most."""
    match action:
        case Kill(names, _) | Pause(names):
            return len(names)
        case Partition(shape, _):
            return 1 if shape in ("one", "isolate_leader", "one_way") else count - grudge.majority_of(count)
        case SlowSync() | Network():
            return 0


# ---- small helpers -----------------------------------------------------------------------------------------------


def _kill(nodes: list[str], restart_after_us: list[int]) -> Draft:
    return Draft(0, Kill(nodes, restart_after_us), max(restart_after_us))


def _some(rng: Random, names: list[T], count: int) -> list[T]:
    """`count` of the names, drawn, in the order of the names."""
    drawn = rng.sample(range(len(names)), count)
    return [names[place] for place in sorted(drawn)]
