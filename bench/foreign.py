"""Breaks systems of others over several seeds, and prints their verdicts as a table for docs/systems.md.

    python -m bench.foreign [--seeds 1..10] [TARGET[:OPTIONS] ...]

A target that cannot be run on this machine, for want of its program, is a row that says so.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from tabulate import tabulate

from raft_chaos.chaos.cli.common import parse_seeds

TARGETS = (
    "examples/raft_node.toml",
    "examples/shelf.toml",
    "examples/etcd.toml:--election-timeout 300-600",
    "examples/etcd_stale.toml:--election-timeout 300-600",
    f"stdio:{sys.executable} examples/stdio_primary.py",
    f"stdio:{sys.executable} examples/stdio_primary.py --stale",
)
COMMAND = str(Path(sys.executable).with_name("raft-chaos"))


def row(target: str, seeds: list[int]) -> list[object]:
    """The row of one target; its options stand behind a colon."""
    name, colon, options = target.rpartition(":--")
    words = shlex.split(f"--{options}") if colon else []
    name = name if colon else target
    began = time.monotonic()
    runs: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="raft-chaos-bench-") as out:
        for seed in seeds:
            command = [COMMAND, "run", "--target", name, *words, "--seed", str(seed), "--out", out, "--json", "-q"]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode not in (0, 1, 2):
                return [shown(name), "", "", "", "", done.stderr.strip().splitlines()[-1]]
            runs.append(json.loads(done.stdout))
    verdicts = Counter(run["verdict"] for run in runs)
    broken = Counter(
        invariant for run in runs for invariant, verdict in run["invariants"].items() if verdict == "violated"
    )
    why = ", ".join(f"{invariant} {count}" for invariant, count in sorted(broken.items()))
    seconds = (time.monotonic() - began) / len(seeds)
    return [shown(name), *(verdicts[verdict] for verdict in ("valid", "unknown", "violated")), f"{seconds:.0f}", why]


def shown(name: str) -> str:
    """The target without this machine's paths."""
    return name.replace(sys.executable, "python3")


def main() -> None:
    parser = argparse.ArgumentParser(description="Breaks systems of others over several seeds.")
    parser.add_argument("targets", nargs="*", default=TARGETS)
    parser.add_argument("--seeds", default="1..10")
    asked = parser.parse_args()
    seeds = parse_seeds(asked.seeds)
    rows = [row(target, seeds) for target in asked.targets]
    headers = ["target", "valid", "unknown", "violated", "s a run", "violated invariants, runs"]
    print(f"seeds {asked.seeds}")
    print(tabulate(rows, headers, tablefmt="pipe"))


if __name__ == "__main__":
    main()
