"""Shows that each fault that a target declares has its effect on it, as a table of targets, faults and effects.

    python -m bench.effects [TARGET ...]

The table is for docs/systems.md. A number is how many pieces (messages, packets, connections) suffered a fault, "yes"
an effect that is not counted. It has what `raft-chaos target check` has seen; "-" is a fault that the target, or the
network between its nodes, does not have. A target that cannot be started on this machine has no row: a line below the
table says why.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from typing import Any

from tabulate import tabulate

from bench.foreign import COMMAND, CURRENT, DEBIANS, setting, shown

TARGETS = (
    "examples/raft_node.toml",
    "examples/shelf.toml",
    "examples/etcd.toml",
    "examples/pysyncobj.toml",
    f"{DEBIANS} examples.nats_target:Bucket",
    f"{CURRENT} examples.nats_target:Bucket",
    "examples.rabbitmq_target:Quorum",
    "examples/basket.toml",
    f"stdio:{sys.executable} examples/stdio_primary.py",
)

FAULTS = {
    "cut: each node in turn": "cut",
    **{name: name for name in ("delay", "loss", "duplicate", "reorder", "clog", "throttle", "reset", "corrupt")},
    "pause (SIGSTOP)": "pause",
    "kill and restart": "kill",
}
"""The findings of the doctor, and the faults that they show."""


def effects(target: str) -> dict[str, str] | str:
    """For each fault what was seen; why there is nothing to see, if the target does not start."""
    name, _, environment = setting(target)
    command = [COMMAND, "target", "check", name, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if not done.stdout:
        return (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
    findings: list[dict[str, Any]] = json.loads(done.stdout)
    if findings[0]["outcome"] == "wrong":
        return str(findings[0]["seen"])
    return {
        FAULTS[finding["what"]]: f"WRONG: {finding['seen']}"
        if finding["outcome"] == "wrong"
        else short(finding["seen"])
        for finding in findings
        if finding["what"] in FAULTS and finding["outcome"] != "missing"
    }


def short(seen: str) -> str:
    """The number that it begins with, or that there was something."""
    number = seen.partition(" ")[0]
    return number if number.isdigit() else "yes"


def main() -> int:
    """Prints the table; 1 if some fault had no effect."""
    parser = argparse.ArgumentParser(description="Shows that each fault that a target declares has its effect on it.")
    parser.add_argument("targets", nargs="*", default=TARGETS)
    found = {shown(target): effects(target) for target in parser.parse_args().targets}
    there = {target: seen for target, seen in found.items() if isinstance(seen, dict)}
    rows = [[target, *(seen.get(fault, "-") for fault in FAULTS.values())] for target, seen in there.items()]
    print(tabulate(rows, ["target", *FAULTS.values()], tablefmt="pipe", disable_numparse=True))
    for target, why in found.items():
        if isinstance(why, str):
            print(f"\n{target}: {why}")
    return any("WRONG" in cell for row in rows for cell in row)


if __name__ == "__main__":
    sys.exit(main())
