"""A partition that stands: in some seeds the safety phase ends with a long partition and nothing else.

While everything changes, no progress is owed (`liveness_under_fault`). So these seeds have their other faults earlier,
those that wait for an event of the run not at all, and then one partition for longer than the bound of progress. It
leaves a majority whole, which must elect a leader and commit. Seeds with steered episodes, which last until the end,
with a quiet time, or without a warmup have none.

Half of these partitions have one of Jepsen's shapes. In the other half the leader hears nobody, and so many others hear
it that the rest is no majority. There a voter that refuses its vote while it hears a leader stops the whole cluster
(openraft #2080).
"""

from __future__ import annotations

from random import Random

from msgspec.structs import replace

from raft_chaos.chaos.faults.grudge import Grudge, Shape, majority_of, make
from raft_chaos.chaos.faults.names import LEADER, OTHERS
from raft_chaos.chaos.faults.partition import Partition
from raft_chaos.chaos.schedule.config import ScheduleConfig, least_duration_s
from raft_chaos.chaos.schedule.data import Fault, When
from raft_chaos.chaos.schedule.draw_faults import Drawn, draw_faults
from raft_chaos.chaos.schedule.episodes import STANDING
from raft_chaos.chaos.schedule.steered.catalogue import LOST_TRANSFER
from raft_chaos.chaos.schedule.streams import stream
from raft_chaos.chaos.schedule.swarm import Swarm

SHARE = 1 / 8
VIRTUAL_TIMEOUTS = 25
"""In election timeouts: the 20 in which progress is owed in virtual time, and room to wait for a leader to cut off."""
REAL_S, ROOM_TIMEOUTS = 10.1, 3
"""In real time the bound of progress is 10 s."""
WHOLE: tuple[Shape, ...] = ("halves", "majority", "bridge", "isolate_leader")
"""The shapes that leave a majority whole, with nothing or little coming in."""


def draw_all_faults(seed: int, config: ScheduleConfig, swarm: Swarm, nodes: list[str]) -> list[Drawn]:
    """All faults for `nodes`, as `draw_faults` gives them, or fewer, and a standing partition."""
    rng, unit = stream(seed, "faults/standing"), config.election_timeout_us_max
    lasts_us = VIRTUAL_TIMEOUTS * unit if config.swarm else round(REAL_S * 1e6) + ROOM_TIMEOUTS * unit
    from_us = round(config.duration_s * 1e6) - lasts_us
    is_judged = config.can is None or {"cut", "events"} <= {*config.can}
    has_room = from_us / 1e6 >= least_duration_s(config.warmup_s, unit)
    wanted = rng.random() < SHARE and "partition" in config.faults and not (swarm.steered or swarm.quiet or swarm.early)
    if not (wanted and is_judged and has_room):
        return draw_faults(seed, config, swarm, nodes)
    earlier = [
        drawn
        for drawn in draw_faults(seed, replace(config, duration_s=from_us / 1e6), swarm, nodes)
        if (drawn.fault.when.on is None or drawn.fault.when.since) and drawn.episode != LOST_TRANSFER.name
    ]
    partition = _deaf_leader(rng, nodes) if rng.random() < 0.5 else _whole(rng, nodes)
    name = f"f{len(earlier) + 1:02}"
    stands = Fault(id=name, when=When(at_us=from_us), action=partition, duration_us=lasts_us)
    return [*earlier, Drawn(stands, STANDING)]


def _whole(rng: Random, nodes: list[str]) -> Partition:
    shape = rng.choice(WHOLE)
    return Partition(shape, make(shape, nodes, rng))


def _deaf_leader(rng: Random, nodes: list[str]) -> Partition:
    """The leader hears nobody. Enough others hear it that the rest is no majority, but not all of them."""
    count = len(nodes)
    near = rng.sample(nodes, rng.randint(count - majority_of(count), count - 2))
    grudge: Grudge = {LEADER: [OTHERS], **{node: [LEADER] for node in nodes if node not in near}}
    return Partition("one_way", grudge)
