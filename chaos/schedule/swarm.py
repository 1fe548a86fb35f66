"""What one seed draws for the whole of its run: which faults exist in it at all, and how strong they may get.

Swarm testing (Groce et al. 2012): a run with fewer kinds of faults drives those further, and meets what a run with all
of them hides. Every option is off in some seeds.

`draw` gives one of two ranges. A plain schedule has the moderate one, that a cluster of real processes can live with. A
schedule with `ScheduleConfig.swarm` has the wide one: also the number of nodes, the simulated network and disk, and
troubles that no cluster lives with for long, which is why they come as weather that clears up (`draw_faults`).

Everything is drawn whether it is used or not, so that what the configuration leaves out shifts nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from random import Random
from typing import TypeVar, get_args

import msgspec

from raft_chaos.chaos.faults import grudge
from raft_chaos.chaos.faults.actions import Failpoint, FaultKind, Shape
from raft_chaos.chaos.schedule.config import ScheduleConfig
from raft_chaos.chaos.schedule.data import Model
from raft_chaos.chaos.schedule.streams import stream

T = TypeVar("T")

CLUSTER_SIZES = (3, 5, 7)
FAILPOINTS: tuple[Failpoint, ...] = get_args(Failpoint)

RATE_PPM_MOST = 100_000
RATE_PPM_SELDOM = 500_000
"""A clock that gains or loses a tenth is drifting; half is a broken one, for one seed in ten with clock faults."""


class Swarm(msgspec.Struct, frozen=True, kw_only=True):
    """The options of one seed. Zero, or empty, is off.

    `kinds` are those of single faults; one that is named twice comes twice as often. `loss`, `duplicate` and `reorder`
    are probabilities, `delay_us` the longest uniform delay and `delay_mean_us` the mean of the exponential one: each
    the worst that any network fault gets. Of what is killed, a node keeps all unsynced bytes with probability
    `keep_all`, a part of them with probability `torn`; a kill waits for one of `failpoints` with probability
    `failpoint`. `churn` leaders in a row are struck down right after their election, and `divided` is how often an
    entry is left behind on a minority for later leaders to find. `clock_ppm` and `clock_jump_us` bound how far a
    clock's rate is off and how far it jumps. A message holds at most `entries_per_message` entries.
    """

    nodes: int
    kinds: tuple[FaultKind, ...]
    shapes: tuple[Shape, ...]
    fault_interval_s: float
    loss: float
    duplicate: float
    reorder: float
    delay_us: int = 0
    delay_mean_us: int = 0
    clog_us: int = 0
    clock_ppm: int = 0
    clock_jump_us: int = 0
    keep_all: float = 0.0
    torn: float = 0.0
    failpoint: float = 0.0
    failpoints: tuple[Failpoint, ...] = ()
    latency_min_us: int = Model().latency_min_us
    latency_max_us: int = Model().latency_max_us
    sync_min_us: int = Model().sync_min_us
    sync_max_us: int = Model().sync_max_us
    entries_per_message: int = 0
    churn: int = 0
    divided: int = 0

    @property
    def model(self) -> Model:
        """The simulated network and disk without faults."""
        return Model(
            self.latency_min_us, self.latency_max_us, self.sync_min_us, self.sync_max_us, self.entries_per_message
        )

    def flat(self) -> dict[str, float | int | str]:
        """The options by name, for the header of a schedule; several names as one text."""
        options: dict[str, float | int | str] = {}
        for field in self.__struct_fields__:
            value = getattr(self, field)
            options[field] = " ".join(value) if isinstance(value, tuple) else value
        return options


def draw(seed: int, config: ScheduleConfig) -> Swarm:
    """The options of that seed: a pure function, from a stream of its own."""
    if config.swarm:
        return _wide(stream(seed, "swarm"), config)
    return _moderate(stream(seed, "faults/swarm"), config)


def some(rng: Random, names: Sequence[T], count: int) -> list[T]:
    """`count` of the names, drawn, in the order of the names."""
    drawn = rng.sample(range(len(names)), count)
    return [names[place] for place in sorted(drawn)]


# ---- the moderate range ------------------------------------------------------------------------------------------


def _moderate(rng: Random, config: ScheduleConfig) -> Swarm:
    """Kinds that change leaders are always there; of the others, and of shapes and network troubles, some."""
    unit = config.election_timeout_us_max
    odds: dict[FaultKind, float] = {"kill": 1.0, "partition": 1.0, "pause": 0.7, "slow_sync": 0.6, "network": 0.8}
    present = {kind: rng.random() < odd for kind, odd in odds.items()}
    shapes = some(rng, grudge.SHAPES, rng.randint(2, len(grudge.SHAPES)))
    troubles = some(rng, ["delay", "loss", "duplicate", "reorder"], rng.randint(1, 4))
    strengths = {
        "delay": rng.uniform(0.02, 0.3) * unit,
        "loss": rng.uniform(0.01, 0.2),
        "duplicate": rng.uniform(0.01, 0.2),
        "reorder": rng.uniform(0.01, 0.2),
    }
    strength = {trouble: value if trouble in troubles else 0.0 for trouble, value in strengths.items()}
    virtual: tuple[FaultKind, ...] = ("clog", "reset", "clock")
    present |= {kind: rng.random() < 0.7 for kind in virtual}
    return Swarm(
        nodes=config.nodes,
        kinds=tuple(kind for kind, there in present.items() if there and kind in config.faults),
        shapes=tuple(shapes),
        fault_interval_s=config.fault_interval_s,
        loss=strength["loss"],
        duplicate=strength["duplicate"],
        reorder=strength["reorder"],
        delay_us=int(strength["delay"]),
        clog_us=4 * unit,
        clock_ppm=RATE_PPM_MOST // 2,
        clock_jump_us=unit,
    )


# ---- the wide range ----------------------------------------------------------------------------------------------

_OPTIONS_OF: dict[FaultKind, tuple[str, ...]] = {
    "kill": ("keep_all", "torn", "failpoint", "failpoints", "churn", "divided"),
    "partition": ("shapes", "churn", "divided"),
    "network": ("loss", "duplicate", "reorder", "delay_mean_us"),
    "clog": ("clog_us",),
    "clock": ("clock_ppm", "clock_jump_us"),
}


def _wide(rng: Random, config: ScheduleConfig) -> Swarm:
    """Anything from a calm network with a few kills to all troubles at once. Times are fractions of the timeout."""
    unit = config.election_timeout_us_max
    nodes = rng.choice(CLUSTER_SIZES)
    loss, duplicate, reorder = _strength(rng, 0.3), _strength(rng, 0.5), _strength(rng, 0.3)
    delay_mean_us = round(_strength(rng, unit / 3))
    shapes = _shapes(rng)
    clog_us = round(_strength(rng, 16 * unit))
    clock_ppm, clock_jump_us = _clock(rng, unit)
    often: dict[FaultKind, int] = {
        "kill": rng.choice((0, 1, 2, 3)),
        "pause": rng.choice((0, 1, 2)),
        "slow_sync": rng.choice((0, 1)),
        "partition": rng.choice((1, 2)) if shapes else 0,
        "clog": 1 if clog_us else 0,
        "reset": rng.choice((0, 1)),
        "clock": 1 if clock_ppm or clock_jump_us else 0,
    }
    interval_s = round(config.fault_interval_s * math.exp(rng.uniform(math.log(0.4), math.log(2.5))), 3)
    keep_all, torn, failpoint = _strength(rng, 0.5), _strength(rng, 0.5), _strength(rng, 0.8)
    failpoints = some(rng, FAILPOINTS, rng.randint(1, len(FAILPOINTS)))
    plain = Model()
    latency_us = _between(rng, plain.latency_min_us, plain.latency_max_us, unit // 30)
    sync_us = _between(rng, plain.sync_min_us, plain.sync_max_us, unit // 15)
    churn, divided = rng.choice(((0, 0), (4, 0), (8, 0), (0, 2), (0, 3)))
    entries_per_message = rng.choice((0, 1, 1, 2) if divided else (0, 0, 1, 2, 5))
    swarm = Swarm(
        nodes=config.nodes or nodes,
        kinds=tuple(kind for kind, times in often.items() for _ in range(times) if kind in config.faults),
        shapes=shapes,
        fault_interval_s=interval_s,
        loss=loss,
        duplicate=duplicate,
        reorder=reorder,
        delay_mean_us=delay_mean_us,
        clog_us=clog_us,
        clock_ppm=clock_ppm,
        clock_jump_us=clock_jump_us,
        keep_all=keep_all,
        torn=torn,
        failpoint=failpoint,
        failpoints=tuple(failpoints) if failpoint else (),
        latency_min_us=latency_us[0],
        latency_max_us=latency_us[1],
        sync_min_us=sync_us[0],
        sync_max_us=sync_us[1],
        entries_per_message=entries_per_message,
        churn=churn,
        divided=divided,
    )
    off = [field for kind, fields in _OPTIONS_OF.items() if kind not in config.faults for field in fields]
    return msgspec.structs.replace(swarm, **{field: type(getattr(swarm, field))() for field in off})


def _strength(rng: Random, most: float) -> float:
    """Off for two seeds in five, else up to `most`, and never so weak that a fault may pass without being noticed."""
    there, value = rng.random() < 0.6, rng.uniform(most / 6, most)
    return round(value, 4) if there else 0.0


def _shapes(rng: Random) -> tuple[Shape, ...]:
    """Cuts of one direction and cuts of both are there independently of each other."""
    one_way, both_ways = rng.random() < 0.6, rng.random() < 0.7
    symmetric = [shape for shape in grudge.SHAPES if shape != "one_way"]
    drawn = some(rng, symmetric, rng.randint(1, len(symmetric)))
    return (*(drawn if both_ways else ()), *(("one_way",) if one_way else ()))


def _clock(rng: Random, unit: int) -> tuple[int, int]:
    """(ppm, µs): how far rates are off, and how far clocks jump, at most."""
    most_ppm = RATE_PPM_SELDOM if rng.random() < 0.1 else RATE_PPM_MOST
    return round(_strength(rng, most_ppm)), round(_strength(rng, 10 * unit))


def _between(rng: Random, least_us: int, most_us: int, slow_us: int) -> tuple[int, int]:
    """The plain range of the model, or a slower one up to `slow_us`."""
    slow, high_us = rng.random() < 0.5, rng.randint(most_us, max(most_us, slow_us))
    low_us = rng.randint(least_us, high_us)
    return (low_us, high_us) if slow else (least_us, most_us)
