"""Measures how much memory a leader takes while a follower is dead: its resident set after every step of the commands.

    python -m bench.memory [--commands 1000000] [--steps 5] [--kinds bounded,whole,snapshots]

Three real processes on this machine, and small commands from 64 clients. A row is one way to run the nodes, once with
all nodes alive and once with a follower that is killed first; the ratio of the two says what the dead one costs. The
growth is from the first step to the last one.

    whole      the whole log stays in memory (a cache that is larger than the log)
    bounded    4 MiB of it do, and what is older is on the disk
    snapshots  a snapshot every 10,000 commands (§7), and a cache of 64 MiB
"""

from __future__ import annotations

import argparse
import tempfile
from functools import partial
from pathlib import Path

import psutil
from tabulate import tabulate

from bench.load import Load
from bench.measures import QUICK, Bench
from bench.systems import NODES, RAFT, Cluster, raft_arguments
from raft_chaos.chaos.processes.supervisor import Supervisor
from raft_chaos.raft.state.features import Features
from raft_chaos.raft.state.timing import Timing

KINDS = {
    "whole": Features(cache_bytes=1 << 40),
    "bounded": Features(cache_bytes=4 << 20),
    "snapshots": Features(snapshot_every=10_000),
}
CLIENTS = 64
STEP_LIMIT_S = 600.0


def measure(bench: Bench, features: Features, commands: int, steps: int, *, dead: bool) -> list[int]:
    """The leader's resident set, in MB, after each step."""
    # Patient nodes: with a load for minutes, some heartbeat comes late.
    system = RAFT._replace(arguments=partial(raft_arguments, timing=Timing().with_features(features)))
    with bench.cluster(system) as cluster:
        leader = cluster.leader()
        if dead:
            cluster.kill(next(name for name in NODES if name != leader))
        return [_step(bench, cluster, leader, commands // steps) for _ in range(steps)]


def _step(bench: Bench, cluster: Cluster, leader: str, commands: int) -> int:
    load = Load(port=cluster.http_port(leader), clients=CLIENTS, duration_s=STEP_LIMIT_S, commands=commands)
    bench.load(cluster, load)
    return round(psutil.Process(cluster.pid(leader)).memory_info().rss / 1e6)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.memory", description=__doc__.split("\n\n")[0])
    parser.add_argument("--commands", type=int, default=1_000_000)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--kinds", default=",".join(KINDS), help=f"some of {', '.join(KINDS)}")
    asked = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder, Supervisor() as supervisor:
        bench = Bench(supervisor, Path(folder), QUICK)
        for kind in asked.kinds.split(","):
            alive, dead = (
                measure(bench, KINDS[kind], asked.commands, asked.steps, dead=dead) for dead in (False, True)
            )
            for name, figures in (("alive", alive), ("one dead", dead)):
                growth = f"x {figures[-1] / figures[0]:.2f}"
                ratio = f"x {figures[-1] / alive[-1]:.2f}"
                rows.append((kind, name, " ".join(map(str, figures)), growth, ratio))
                print(*rows[-1], flush=True)
    print()
    print(tabulate(rows, ("log", "nodes", f"MB after each of {asked.steps} steps", "growth", "to all alive")))


if __name__ == "__main__":
    main()
