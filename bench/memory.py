"""How much memory a leader takes while a follower is dead: its resident set after every step of the commands.

Three real processes on this machine, and small commands from 64 clients. The nodes run in two ways, each once with all
of them alive and once with a follower that is killed first:

    no snapshots   4 MiB of the log stay in memory, and what is older is on the disk
    snapshots      the same, and a snapshot every 10,000 commands (§7)

Without snapshots a leader grows by what it keeps of every entry (`raft.state.log`), and a dead follower must add
nothing to that. With snapshots it must not grow at all.
"""

from __future__ import annotations

from functools import partial

import psutil

from bench.load import Load
from bench.measures import Bench, Row
from bench.systems import NODES, RAFT, Cluster, raft_arguments
from raft_chaos.raft.state.features import Features
from raft_chaos.raft.state.timing import Timing

CACHE_BYTES = 4 << 20
STEPS = 5
SNAPSHOT_EVERY = 10_000
LEAST_SNAPSHOTS = 2 * STEPS
"""Of few commands snapshots are taken more often: in each step two."""
CLIENTS = 64
STEP_LIMIT_S = 600.0


def measure(bench: Bench) -> list[Row]:
    """The rows of `python -m bench --only memory`: one for each way and step, measured once."""
    commands = bench.sizes.remembered
    every = max(1, min(SNAPSHOT_EVERY, commands // LEAST_SNAPSHOTS))
    rows: list[Row] = []
    for name, features in (
        ("no snapshots", Features(cache_bytes=CACHE_BYTES)),
        ("snapshots", Features(cache_bytes=CACHE_BYTES, snapshot_every=every)),
    ):
        alive, dead = (_after_each_step(bench, features, commands, dead=dead) for dead in (False, True))
        rows += [
            Row(f"{name}: after {commands * step // STEPS} commands, MB", [one_dead], [all_alive], more_is_better=False)
            for step, (one_dead, all_alive) in enumerate(zip(dead, alive, strict=True), 1)
        ]
    return rows


def _after_each_step(bench: Bench, features: Features, commands: int, *, dead: bool) -> list[float]:
    """The leader's resident set in MB."""
    # Patient nodes: with a load for minutes, some heartbeat comes late.
    system = RAFT._replace(arguments=partial(raft_arguments, timing=Timing().with_features(features)))
    with bench.cluster(system) as cluster:
        leader = cluster.leader()
        if dead:
            cluster.kill(next(name for name in NODES if name != leader))
        return [_step(bench, cluster, leader, commands // STEPS) for _ in range(STEPS)]


def _step(bench: Bench, cluster: Cluster, leader: str, commands: int) -> float:
    load = Load(port=cluster.http_port(leader), clients=CLIENTS, duration_s=STEP_LIMIT_S, commands=commands)
    bench.load(cluster, load)
    return float(psutil.Process(cluster.pid(leader)).memory_info().rss) / 1e6
