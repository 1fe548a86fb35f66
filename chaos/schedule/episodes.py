"""Episodes: short sequences of faults that are known to matter, in rounds over the safety phase.

`at_times` places one round of them at random times: the required ones (a leader killed, a leader isolated), a power
loss before a sync, a stale log. `anchored` ties a round of them to the protocol: to a new leader, to a granted vote.
`churn` and `divided` tie them to many leaders in a row. Anchored episodes hit the narrow windows that a random time
misses, and hit them again when the schedule is repeated.

The unit of time is the longest election timeout.
"""

from __future__ import annotations

from math import exp, log
from random import Random
from typing import NamedTuple, TypeAlias

from raft_chaos.chaos.faults import grudge
from raft_chaos.chaos.faults.action import Action, some
from raft_chaos.chaos.faults.disk import SlowSync
from raft_chaos.chaos.faults.grudge import Shape
from raft_chaos.chaos.faults.names import LEADER, OTHERS, VOTER
from raft_chaos.chaos.faults.partition import Partition
from raft_chaos.chaos.faults.pause import Pause
from raft_chaos.chaos.faults.process import Kill
from raft_chaos.chaos.schedule.config import ScheduleConfig
from raft_chaos.chaos.schedule.data import AnchorEvent, When
from raft_chaos.chaos.schedule.swarm import Swarm

FIRST_STRUCK = 4
"""The number of the leader with which a churn begins, counted from the beginning of the run."""
SOONEST_US = 200
FIRST_DIVIDED = 4

POWER_LOSS, STALE_LOG, CHURN, DIVIDED, STANDING = CHANCE = (
    "power_loss",
    "stale_log",
    "churn",
    "divided",
    "standing",
)
"""The names of the episodes of chance: those below, and the partition that stands (`endings`)."""


class Draft(NamedTuple):
    """A fault without id and anchor: what it does, how long (µs), and how many µs after the beginning.

    The beginning is that of its episode, or of the run once the episode has a time. `episode` names its episode, of
    `CHANCE`; "" for a single fault and for a required one.
    """

    after_us: int
    action: Action
    duration_us: int
    episode: str = ""

    @property
    def end_us(self) -> int:
        return self.after_us + self.duration_us


Episode: TypeAlias = list[Draft]


# ---- at random times ---------------------------------------------------------------------------------------------


def at_times(rng: Random, config: ScheduleConfig, nodes: list[str], from_us: int, round_us: int) -> list[Draft]:
    """One round: the required episodes, and as many of the others as there is room for, one after the other."""
    unit, kinds = config.election_timeout_us_max, config.faults
    chosen: list[Episode] = []
    if "kill" in kinds:
        chosen.append(_kill_leader(rng, 2 * unit, max(2 * unit, min(6 * unit, round_us // 4))))
    if "partition" in kinds:
        chosen.append(_isolate_leader(rng, 3 * unit, max(3 * unit, min(10 * unit, round_us // 3))))
    power_loss, stale_log = _power_loss(rng, nodes, unit), _stale_log(rng, nodes, unit)
    wanted_power_loss, wanted_stale_log = rng.random() < 0.9, rng.random() < 0.5
    # Without slow syncs, too, all nodes or a majority of a target are killed at once (`fitting` leaves out the rest).
    power_can_fail = "kill" in kinds and ("slow_sync" in kinds or config.can is not None)
    gap_us = 2 * unit  # for the election that each episode causes
    for episode, wanted in (
        (power_loss, wanted_power_loss and power_can_fail),
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
    """The leader is cut off until the others have elected another leader, while it still believes that it leads."""
    return [Draft(0, Partition("isolate_leader", grudge.isolate_leader([], rng)), rng.randint(least_us, most_us))]


def _power_loss(rng: Random, nodes: list[str], unit: int) -> Episode:
    """While syncs are slow all nodes, or a majority with the leader, are killed at once; the old leader returns last.

    If followers acknowledge entries before they sync them, they lose these entries and elect a leader without them: a
    committed entry is lost (§5.4.1). An old leader that is back in time would win with its log, and hide the loss. The
    gap between acknowledged and synced is widest if the leader's own disk is not slow.
    """
    least = len(nodes) - grudge.majority_of(len(nodes))
    slow = [OTHERS] if rng.random() < 0.7 else some(rng, nodes, rng.randint(least, len(nodes)))
    together = nodes if rng.random() < 0.6 else some(rng, nodes, grudge.majority_of(len(nodes)))
    kill = _kill([LEADER, *together], [rng.randint(3 * unit, 6 * unit), *(0 for _ in together)])
    return [
        Draft(0, SlowSync(slow, rng.randint(20_000, 30_000), rng.randint(35_000, 50_000)), 3 * unit, POWER_LOSS),
        kill._replace(after_us=rng.randint(unit, 2 * unit), episode=POWER_LOSS),
    ]


def _stale_log(rng: Random, nodes: list[str], unit: int) -> Episode:
    """A follower or a minority misses some entries; once it is back the leader is killed.

    Its term grew with each election that it lost, so the others follow its term: only the comparison of logs keeps it
    from becoming leader without the committed entries (§5.4.1).
    """
    shape: Shape = "one" if rng.random() < 0.6 else "halves"
    away_us = rng.randint(3 * unit, 8 * unit)
    kill = _kill([LEADER], [rng.randint(2 * unit, 4 * unit)])
    return [
        Draft(0, Partition(shape, grudge.make(shape, nodes, rng)), away_us, STALE_LOG),
        kill._replace(after_us=away_us + rng.randint(0, unit), episode=STALE_LOG),
    ]


# ---- anchored ----------------------------------------------------------------------------------------------------


def anchored(rng: Random, config: ScheduleConfig, nodes: list[str], number: int) -> list[tuple[When, Draft]]:
    """Episodes at the next leaders and votes of the round, with the configuration's kinds of faults.

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

    planned: list[tuple[When, Draft]] = []
    nth_leader, nth_vote = 2 + 4 * number, len(nodes) + 2 + 3 * len(nodes) * number + rng.randint(0, 1)
    placed: list[tuple[AnchorEvent, int, Episode]] = [
        *(("leader_elected", nth_leader + place, episode) for place, episode in enumerate(at_leader)),
        *(("vote_granted", nth_vote, episode) for episode in at_vote),
    ]
    for event, nth, episode in placed:
        for draft in episode:
            planned.append((When(on=event, nth=nth, after_us=draft.after_us), draft))
    return planned


def churn(rng: Random, config: ScheduleConfig, swarm: Swarm) -> list[tuple[When, Draft]]:
    """Several leaders in a row, each killed or cut off soon after its election, before it replicates much.

    Each leaves entries of its own term on few nodes, and the next leaders continue from these logs. In such logs a
    majority can hold an entry of an older term, and the entry can still be lost (Fig. 8).
    """
    unit = config.election_timeout_us_max
    planned: list[tuple[When, Draft]] = []
    for nth in range(FIRST_STRUCK, FIRST_STRUCK + swarm.churn):
        soon_us = round(exp(rng.uniform(log(SOONEST_US), log(unit / 2))))
        event: AnchorEvent = rng.choice(("leader_elected", "leader_committed"))
        away_us = rng.randint(unit, 5 * unit)
        if rng.random() < 0.5:
            draft = _kill([LEADER], [away_us])
        else:
            draft = Draft(0, Partition("isolate_leader", grudge.isolate_leader([], rng)), away_us)
        planned.append((When(on=event, nth=nth, after_us=soon_us), draft._replace(episode=CHURN)))
    return planned


def divided(rng: Random, config: ScheduleConfig, swarm: Swarm, nodes: list[str]) -> list[tuple[When, Draft]]:
    """A leader leaves an entry on a minority; two more leaders fail at the worst moments (Fig. 8).

    For three leaders in a row: only a minority hears the first one, which dies before the others miss it. The second is
    cut off as soon as it leads, with an entry of its own that no other node has. The third finds the old entry,
    replicates it, and is killed or cut off as soon as it commits anything.
    """
    unit, trip_us = config.election_timeout_us_max, swarm.model.latency_min_us
    planned: list[tuple[When, Draft]] = []
    for nth in range(FIRST_DIVIDED, FIRST_DIVIDED + 3 * swarm.divided, 3):
        settled_us, alone_us = rng.randint(unit // 2, unit), rng.randint(unit // 5, unit // 3)
        near = rng.sample(nodes, grudge.majority_of(len(nodes)) - 2)
        unheard = Partition("one_way", {node: [LEADER, *near] for node in nodes if node not in near})
        leader_dies = _kill([LEADER], [rng.randint(unit, 3 * unit)])
        second = Draft(0, Partition("isolate_leader", grudge.isolate_leader([], rng)), rng.randint(unit, 3 * unit))
        third = rng.choice((second, _kill([LEADER], [rng.randint(2 * unit, 5 * unit)])))
        planned += [
            (When(on="leader_elected", nth=nth, after_us=settled_us), Draft(0, unheard, alone_us + trip_us)),
            (When(on="leader_elected", nth=nth, after_us=settled_us + alone_us), leader_dies),
            (When(on="leader_elected", nth=nth + 1, after_us=rng.randint(0, trip_us)), second),
            (When(on="leader_committed", nth=nth + 2, after_us=rng.randint(0, trip_us)), third),
        ]
    return [(when, draft._replace(episode=DIVIDED)) for when, draft in planned]


def _kill(nodes: list[str], restart_after_us: list[int]) -> Draft:
    return Draft(0, Kill(nodes, restart_after_us), max(restart_after_us))
