"""How the safety phase ends: as it began, with a partition that stands, or with steered episodes of a feature.

While everything changes, no progress is owed (`liveness_under_fault`), and an episode that needs a feature of the nodes
needs time for itself. So some seeds have their other faults earlier, those that wait for an event of the run not at
all, and then one of two endings. Seeds with steered episodes, which last until the end, with a quiet time, or without a
warmup have none.

A partition stands for longer than the bound of progress. It leaves a majority whole, which must elect a leader and
commit. Some of these partitions have one of Jepsen's shapes. In the others the leader hears nobody, and so many nodes
hear it that the rest is no majority. There a voter that refuses its vote while it hears a leader stops the whole
cluster (openraft #2080). With PreVote or CheckQuorum it has to refuse, so most of them are in seeds without.

Episodes of a feature (`steered.catalogue.OF_FEATURES`, and the later ones) come one after the other, as many of the
drawn ones as there is room for, in seeds whose nodes have what they need. One whose last step stands comes first: that
leaves a majority whole, too, and nobody else. So what is owed then does not depend on what another episode has left
behind.
"""

from __future__ import annotations

from random import Random
from typing import NamedTuple

from msgspec.structs import replace

from raft_chaos.chaos.faults.grudge import Grudge, Shape, majority_of, make
from raft_chaos.chaos.faults.names import LEADER, OTHERS
from raft_chaos.chaos.faults.partition import Partition
from raft_chaos.chaos.schedule.config import ScheduleConfig, least_duration_s
from raft_chaos.chaos.schedule.data import Fault, When
from raft_chaos.chaos.schedule.draw_faults import Drawn, draw_faults
from raft_chaos.chaos.schedule.episodes import STANDING
from raft_chaos.chaos.schedule.steered.catalogue import (
    GAP_TIMEOUTS,
    LATER_OF_FEATURES,
    LOST_TRANSFER,
    OF_FEATURES,
    OUTAGES,
    episode_of,
    in_a_row,
)
from raft_chaos.chaos.schedule.steered.plot import Steered
from raft_chaos.chaos.schedule.streams import stream
from raft_chaos.chaos.schedule.swarm import Swarm

SHARE = 1 / 8
"""The share of the seeds that end with a partition, of those that may."""
OF_FEATURES_SHARE, EACH_SHARE = 0.7, 0.7
"""Of the others, the share that end with episodes of features, if their nodes have any; then each is drawn by itself,
and the later ones come where the first ones leave room."""
LATER_SHARE = 0.15
"""The share that end with the later episodes of features alone."""
VIRTUAL_TIMEOUTS = 25
"""In election timeouts: the 20 in which progress is owed in virtual time, and room to wait for a leader to cut off."""
REAL_S, ROOM_TIMEOUTS = 10.1, 3
"""In real time the bound of progress is 10 s."""
DEAF_SHARE, PLAIN_DEAF_SHARE = 0.5, 0.85
"""The share of the partitions whose leader hears nobody: where nodes have PreVote or CheckQuorum, and elsewhere."""
WHOLE: tuple[Shape, ...] = ("halves", "majority", "bridge", "isolate_leader")
"""The shapes that leave a majority whole, with nothing or little coming in."""


class _Ending(NamedTuple):
    """The last part of the safety phase: from `from_us` to its end."""

    from_us: int
    partition: Partition | None
    episodes: tuple[Steered, ...] = ()

    @property
    def stands(self) -> bool:
        return self.partition is not None or self.episodes[0].stands


def draw_all_faults(seed: int, config: ScheduleConfig, swarm: Swarm, nodes: list[str]) -> list[Drawn]:
    """All faults for `nodes`, as `draw_faults` gives them, or fewer, and an ending."""
    ending = None
    if not (swarm.steered or swarm.quiet or swarm.early):
        ending = _partition(seed, config, swarm, nodes) or _of_features(seed, config, swarm)
    if ending is None:
        return draw_faults(seed, config, swarm, nodes)
    from_us, unit = ending.from_us, config.election_timeout_us_max
    on_top = [LOST_TRANSFER.name, *(OUTAGES if ending.partition is not None else ())]
    before = [
        drawn
        for drawn in draw_faults(seed, replace(config, duration_s=from_us / 1e6), swarm, nodes)
        if (drawn.fault.when.on is None or drawn.fault.when.since) and drawn.episode not in on_top
    ]
    # A change of the members that was asked for in vain might be done later: then nobody knows what is owed.
    # Where members leave, those that stay may be no majority beside a node that is damaged for good.
    whole = any("membership" in episode.kinds for episode in ending.episodes)
    earlier = [
        drawn
        for drawn in before
        if not (ending.stands and drawn.fault.action.outlasts_itself) and not (whole and drawn.fault.action.ends_nodes)
    ]
    if ending.partition is not None:
        name = f"f{len(before) + 1:02}"
        stands = Fault(id=name, when=When(at_us=from_us), action=ending.partition, duration_us=_stands_us(config))
        return [*earlier, Drawn(stands, STANDING)]
    rng = stream(seed, "faults/ending/steps")
    steered = in_a_row(ending.episodes, rng, nodes, unit, from_us, _stands_us(config))
    return [*earlier, *(Drawn(fault, episode_of(fault.id)) for fault in steered)]


def _stands_us(config: ScheduleConfig) -> int:
    """How long the last fault stands."""
    unit = config.election_timeout_us_max
    return VIRTUAL_TIMEOUTS * unit if config.swarm else round(REAL_S * 1e6) + ROOM_TIMEOUTS * unit


def _begins_us(config: ScheduleConfig, lasts_us: int) -> int | None:
    """When an ending of this length begins; None if there is no room before it for what is required."""
    from_us = round(config.duration_s * 1e6) - lasts_us
    least_s = least_duration_s(config.warmup_s, config.election_timeout_us_max)
    return from_us if from_us / 1e6 >= least_s else None


# ---- a partition that stands -------------------------------------------------------------------------------------


def _partition(seed: int, config: ScheduleConfig, swarm: Swarm, nodes: list[str]) -> _Ending | None:
    rng = stream(seed, "faults/standing")
    from_us = _begins_us(config, _stands_us(config))
    is_judged = config.can is None or {"cut", "events"} <= {*config.can}
    wanted = rng.random() < SHARE and "partition" in config.faults
    if from_us is None or not (wanted and is_judged):
        return None
    may_refuse = swarm.features.pre_vote or swarm.features.check_quorum
    deaf = rng.random() < (DEAF_SHARE if may_refuse else PLAIN_DEAF_SHARE)
    return _Ending(from_us, _deaf_leader(rng, nodes) if deaf else _whole(rng, nodes))


def _whole(rng: Random, nodes: list[str]) -> Partition:
    shape = rng.choice(WHOLE)
    return Partition(shape, make(shape, nodes, rng))


def _deaf_leader(rng: Random, nodes: list[str]) -> Partition:
    """The leader hears nobody. Enough others hear it that the rest is no majority, but not all of them."""
    count = len(nodes)
    near = rng.sample(nodes, rng.randint(count - majority_of(count), count - 2))
    grudge: Grudge = {LEADER: [OTHERS], **{node: [LEADER] for node in nodes if node not in near}}
    return Partition("one_way", grudge)


# ---- episodes of features ----------------------------------------------------------------------------------------


def _of_features(seed: int, config: ScheduleConfig, swarm: Swarm) -> _Ending | None:
    rng = stream(seed, "faults/ending")
    which, drawn = rng.random(), [rng.random() < EACH_SHARE for _ in OF_FEATURES]
    wanted, only_later = which < OF_FEATURES_SHARE, which > 1 - LATER_SHARE
    order = rng.sample(range(len(OF_FEATURES)), len(OF_FEATURES))
    first = [OF_FEATURES[place] for place in order if drawn[place]] if wanted else []
    later = [
        episode
        for episode in LATER_OF_FEATURES
        if only_later or (wanted and stream(seed, f"faults/ending/{episode.name}").random() < EACH_SHARE)
    ]
    ending: _Ending | None = None
    for episode in (*first, *later):
        if episode.exists_with(swarm.features) and {*episode.kinds} <= {*config.faults}:
            ending = _with(ending, episode, config) or ending
    return ending


def _with(ending: _Ending | None, episode: Steered, config: ScheduleConfig) -> _Ending | None:
    """The ending with one more episode; None if there is no room for it. Only one can stand, as the first."""
    before = ending.episodes if ending is not None else ()
    if episode.stands and any(other.stands for other in before):
        return None
    episodes = (episode, *before) if episode.stands else (*before, episode)
    timeouts = sum(one.timeouts for one in episodes) + GAP_TIMEOUTS * (len(episodes) - 1)
    lasts_us = timeouts * config.election_timeout_us_max + (_stands_us(config) if episodes[0].stands else 0)
    from_us = _begins_us(config, lasts_us)
    return None if from_us is None else _Ending(from_us, None, episodes)
