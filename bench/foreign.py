"""Breaks systems of others over several seeds, and prints their verdicts as a table for docs/systems.md.

    python -m bench.foreign [--seeds 1..10] [--out DIR] [[NAME=VALUE ...] TARGET[:OPTIONS] ...]

NAME=VALUE are environment variables. A target that cannot be run on this machine, for want of its program, is a row
that says so.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

from tabulate import tabulate

from raft_chaos.chaos.cli.common import parse_seeds

SLOW = "--election-timeout 1000-2000 --warmup 6 --duration 30 --liveness 8 --fault-interval 3 --nodes 3 --rate 50"
"""For NATS, whose elections take 4 to 9 s."""
RABBITMQ = "--election-timeout 500-1000 --warmup 3 --duration 45 --liveness 15 --fault-interval 5 --nodes 3 --rate 60"
"""A node of RabbitMQ takes several seconds to start; a leader is cut off only where one is there."""
KILLS = "kill,pause,partition,crash_loop"
POWER = "--schedule examples/power_failure.jsonl --election-timeout 300-600 --disk lossy"
"""The power of all three nodes fails once, in the middle of the run."""
DEBIANS, CURRENT = "NATS_SERVER=/usr/sbin/nats-server", f"NATS_SERVER={Path(sys.executable).with_name('nats-server')}"

TARGETS = (
    "examples/raft_node.toml",
    "examples/shelf.toml",
    "examples/etcd.toml:--election-timeout 300-600",
    "examples/etcd_stale.toml:--election-timeout 300-600",
    "examples/pysyncobj.toml:--election-timeout 300-600",
    "examples/pysyncobj_dump.toml:--schedule examples/kill_all.jsonl",
    "examples/pysyncobj_local.toml:--election-timeout 300-600",
    "examples/pysyncobj_undumped.toml:--election-timeout 300-600",
    *(
        f"{program} examples.nats_target:{name}:{SLOW}"
        for program in (DEBIANS, CURRENT)
        for name in ("Bucket", "MarkedReads", "LeaderReads", "DirectReads")
    ),
    f"{CURRENT} NATS_SYNC=always examples.nats_target:Bucket:{SLOW}",
    *(f"examples.rabbitmq_target:{name}:{RABBITMQ}" for name in ("Quorum", "ClassicTransient", "Unconfirmed")),
    f"examples/etcd.toml:--election-timeout 300-600 --nodes 3 --rate 25 --duration 12 --faults {KILLS} --disk lossy",
    *(f"examples/{name}.toml:{POWER}" for name in ("etcd", "pysyncobj")),
    *(f"{CURRENT} {sync}examples.nats_target:Bucket:{POWER}" for sync in ("NATS_SYNC=5s ", "NATS_SYNC=always ", "")),
    "examples/basket.toml",
    f"stdio:{sys.executable} examples/stdio_primary.py",
    f"stdio:{sys.executable} examples/stdio_primary.py --stale",
)
COMMAND = str(Path(sys.executable).with_name("raft-chaos"))


class Setting(NamedTuple):
    """What is broken, and how: a target's name, more words for `run`, and the environment."""

    name: str
    words: list[str]
    environment: dict[str, str]


def setting(target: str) -> Setting:
    """Variables stand before a target, and its options behind a colon."""
    variables = re.match(r"([A-Z_]+=\S+ +)*", target)[0]  # type: ignore[index]  # it matches nothing, too
    name, colon, options = target.removeprefix(variables).partition(":--")
    ours = str(Path(sys.executable).parent)  # an example's `python3` must find what is installed here
    environment = {**os.environ, "PATH": f"{ours}:{os.environ['PATH']}", **dict(map(_parted, variables.split()))}
    return Setting(name, shlex.split(f"--{options}") if colon else [], environment)


def row(target: str, seeds: list[int], folder: Path | None) -> list[object]:
    """The row of one target. Runs stay in the folder, if there is one. A saved schedule runs as often as there are
    seeds."""
    name, words, environment = setting(target)
    began = time.monotonic()
    runs: list[dict[str, Any]] = []
    for seed in seeds:
        which = [] if "--schedule" in words else ["--seed", str(seed)]
        with tempfile.TemporaryDirectory(prefix="raft-chaos-bench-") as own:  # some systems write hundreds of megabytes
            command = [COMMAND, "run", "--target", name, *words, *which, "--out", str(folder or own), "--json", "-q"]
            done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
        if done.returncode not in (0, 1, 2):
            return [shown(target), "", "", "", "", done.stderr.strip().splitlines()[-1]]
        runs.append(json.loads(done.stdout))
        print(f"{shown(target)}: seed {seed}: {runs[-1]['verdict']}", file=sys.stderr, flush=True)
    verdicts = Counter(run["verdict"] for run in runs)
    broken = Counter(
        invariant for run in runs for invariant, verdict in run["invariants"].items() if verdict == "violated"
    )
    why = ", ".join(f"{invariant} {count}" for invariant, count in sorted(broken.items()))
    seconds = (time.monotonic() - began) / len(seeds)
    return [shown(target), *(verdicts[verdict] for verdict in ("valid", "unknown", "violated")), f"{seconds:.0f}", why]


def _parted(setting: str) -> tuple[str, str]:
    name, _, value = setting.partition("=")
    return name, value


def shown(target: str) -> str:
    """The target without this machine's paths, and without its options."""
    name = target.partition(":--")[0].replace(sys.executable, "python3")
    return name.replace(f"{Path(sys.executable).parent}/", "")


def main() -> None:
    parser = argparse.ArgumentParser(description="Breaks systems of others over several seeds.")
    parser.add_argument("targets", nargs="*", default=TARGETS)
    parser.add_argument("--seeds", default="1..10")
    parser.add_argument("--out", type=Path, help="keep the runs in this folder")
    asked = parser.parse_args()
    seeds = parse_seeds(asked.seeds)
    rows = [row(target, seeds, asked.out) for target in asked.targets]
    headers = ["target", "valid", "unknown", "violated", "s a run", "violated invariants, runs"]
    print(f"seeds {asked.seeds}")
    print(tabulate(rows, headers, tablefmt="pipe"))


if __name__ == "__main__":
    main()
