"""All steered episodes by name. A new one is a file with its `EPISODE`, and a name here.

A seed that is steered has a few of these, one after the other, in place of the episodes of chance (`episodes`). Some
come on top: that of the first election, in seeds that have no warmup, the quiet one, a transfer of the leadership that
is lost, at the end, and lost power, in seeds that are neither steered nor quiet. Leaders that believe in an old lease
are for seeds whose nodes have leases, instead of others; and so are messages that are held until another node leads, in
a few of the seeds that would have none of these. Episodes of a feature come last, in some of the seeds that are not
steered and whose nodes have it (`endings`).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from itertools import cycle
from random import Random
from typing import NamedTuple

from raft_chaos.chaos.faults.action import some
from raft_chaos.chaos.faults.catalogue import FaultKind
from raft_chaos.chaos.schedule.data import Fault, When
from raft_chaos.chaos.schedule.steered import (
    behind_in_term,
    cut_snapshots,
    divergent_tail,
    figure_8,
    first_election,
    held_answers,
    held_over,
    held_transfer,
    leads_again,
    lost_cache,
    lost_change,
    lost_holder,
    lost_since,
    lost_transfer,
    members_in_snapshot,
    missed_promotion,
    old_bridge,
    old_lease,
    one_victim,
    quiet,
    removed_follower,
    removed_leader,
    silent_learner,
    slow_snapshot,
    snapshot_lost,
    split_votes,
    unanswered,
    unreadable_entries,
)
from raft_chaos.chaos.schedule.steered.plot import Plot, Steered

FIRST_ELECTION, QUIET, LOST_TRANSFER = first_election.EPISODE, quiet.EPISODE, lost_transfer.EPISODE
GAP_TIMEOUTS = 2
"""The time between two episodes, for the election that each leaves behind."""
MOST_AT_ONCE = 3
LATER_SHARE = 0.25
"""The share of the steered seeds that have a given later episode, and one of the first with it."""


class Window(NamedTuple):
    """The faults of one episode, and the time (µs) that it has for itself."""

    at_us: int
    lasts_us: int
    faults: list[Fault]


FIRST = (
    one_victim,
    leads_again,
    lost_holder,
    divergent_tail,
    figure_8,
    unanswered,
    split_votes,
    old_bridge,
    held_over,
)
LATER = (lost_since, snapshot_lost)
"""The episodes that are newer than the first saved seeds: each is drawn by itself, so the other seeds stay as they
were."""

OLD_LEASE: dict[str, Steered] = {episode.name: episode for episode in old_lease.EPISODES}
"""The episodes of seeds whose nodes have leases, and of no others."""

HELD: dict[str, Steered] = {module.EPISODE.name: module.EPISODE for module in (held_transfer, held_answers)}
"""The episodes of seeds in which one kind of message arrives only when another node leads, and of no others."""

OF_FEATURES: tuple[Steered, ...] = tuple(
    module.EPISODE for module in (lost_change, unreadable_entries, missed_promotion, behind_in_term)
)
"""The first episodes that end the safety phase of seeds whose nodes have their features."""
LATER_OF_FEATURES: tuple[Steered, ...] = tuple(
    module.EPISODE for module in (removed_leader, silent_learner, slow_snapshot, removed_follower, members_in_snapshot)
)
"""Those that are newer: each has a stream of its own, and comes where the first ones leave room."""

OUTAGES: dict[str, Steered] = {module.EPISODE.name: module.EPISODE for module in (lost_cache, cut_snapshots)}
"""The episodes of nodes that lose power, which come on top of other faults."""

STEERED: dict[str, Steered] = {module.EPISODE.name: module.EPISODE for module in (*FIRST, *LATER)}
STEERED |= OLD_LEASE | HELD

ALL = (
    *(*STEERED.values(), *OF_FEATURES, *LATER_OF_FEATURES),
    *(FIRST_ELECTION, QUIET, LOST_TRANSFER, *OUTAGES.values()),
)


def chosen(rng: Random, share: float, kinds: Collection[FaultKind]) -> tuple[str, ...]:
    """The episodes of a seed, of these kinds of faults; none in all but this share of the seeds."""
    first = [module.EPISODE.name for module in FIRST]
    steered, drawn = rng.random() < share, some(rng, first, rng.randint(1, MOST_AT_ONCE))
    later = [module.EPISODE.name for module in LATER if rng.random() < LATER_SHARE]
    if later:
        drawn = [drawn[0], *later]  # there is room for two or three
    return tuple(name for name in drawn if steered and {*STEERED[name].kinds} <= {*kinds})


def in_turns(
    names: Collection[str], rng: Random, nodes: Collection[str], unit: int, from_us: int, until_us: int
) -> list[Window]:
    """These episodes one after the other, as many as have room between the two times."""
    windows: list[Window] = []
    at_us = from_us
    for name in cycle(rng.sample(sorted(names), len(names))):
        episode = STEERED[name]
        lasts_us = episode.timeouts * unit
        if at_us + lasts_us > until_us:
            break
        plot = Plot(f"s{len(windows) + 1:04}-{name}", When(at_us=at_us), rng, unit, len(nodes) % 2 == 0)
        episode.build(plot)
        windows.append(Window(at_us, lasts_us, plot.faults))
        at_us += lasts_us + GAP_TIMEOUTS * unit
    return windows


def in_a_row(
    episodes: Sequence[Steered], rng: Random, nodes: Collection[str], unit: int, at_us: int, stands_us: int
) -> list[Fault]:
    """The faults of these episodes, one after the other from that time on; the last step of one that stands lasts
    `stands_us`, and the next one comes after it."""
    faults: list[Fault] = []
    for number, episode in enumerate(episodes, 1):
        plot = Plot(f"s{number:04}-{episode.name}", When(at_us=at_us), rng, unit, len(nodes) % 2 == 0, stands_us)
        episode.build(plot)
        faults += plot.faults
        at_us += (episode.timeouts + GAP_TIMEOUTS) * unit + (stands_us if episode.stands else 0)
    return faults


def episode_of(fault: str) -> str:
    """The steered episode to which the fault with this id belongs; "" if it belongs to none."""
    named = re.fullmatch(r"s\d+-(\w+)-\d+", fault)
    return named[1] if named is not None else ""
