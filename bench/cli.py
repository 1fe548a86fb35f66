"""Runs the chosen parts and prints a table for each, with the facts that a reader needs."""

from __future__ import annotations

import argparse
import os
import platform
import signal
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import NamedTuple

from tabulate import tabulate

from bench import executors, journal, memory, native, networks, restart, sim, start
from bench.compare import compare, page, slower
from bench.etcd_node import PROGRAM as ETCD_PROGRAM
from bench.measures import FULL, QUICK, Bench, Row, Sizes
from bench.saved import Saved, SavedError, SavedPart, load, save
from bench.systems import ETCD, PYSYNCOBJ, PYSYNCOBJ_FLUSHED, RAFT, RAFT_UNSYNCED, BenchError, System, compacting
from raft_chaos.chaos.processes.supervisor import PRELOAD, Supervisor

EXIT_FAILED, EXIT_INTERRUPTED = 1, 130
CLIENTS = (1, 64)
FSYNCS = 200
SNAPSHOTS = 10
"""So many are taken while a node is down."""


class Part(NamedTuple):
    """A table: its heading, the function that measures its rows, and the names of the two sides."""

    title: str
    measure: Callable[[Bench], list[Row]]
    sides: tuple[str, str] = ("raft-chaos", "PySyncObj")


def _throughput(ours: System, theirs: System, bench: Bench) -> list[Row]:
    rows: list[Row] = []
    for clients in CLIENTS:
        rows += bench.rounds(partial(bench.throughput, clients=clients), ours, theirs)
    return rows


def _beside_etcd(bench: Bench) -> list[Row]:
    """Without the time from a kill to the next commit: etcd drops what it gets while nobody leads, and its client hears
    of that only after seconds."""
    if ETCD_PROGRAM is None:
        raise BenchError("etcd is not installed (Debian: etcd-server)")
    rows = _throughput(RAFT, ETCD, bench)
    for entries in bench.sizes.entries:
        rows += bench.rounds(partial(bench.catch_up, entries=entries), RAFT, ETCD)
    return rows


def _failover(bench: Bench) -> list[Row]:
    return bench.rounds(bench.failover, RAFT, PYSYNCOBJ)


def _catch_up(bench: Bench) -> list[Row]:
    rows: list[Row] = []
    for entries in bench.sizes.entries:
        rows += bench.rounds(partial(bench.catch_up, entries=entries), RAFT, PYSYNCOBJ)
    return rows


def _by_snapshot(bench: Bench) -> list[Row]:
    """Each entry has a key of its own, so the snapshot is as long as what the node missed; ten are taken meanwhile."""
    entries = bench.sizes.behind
    ours, theirs = compacting(max(1, entries // SNAPSHOTS))
    return bench.rounds(partial(bench.catch_up, entries=entries, keys=entries), ours, theirs)


PARTS = {
    "throughput": Part(
        "As shipped: raft-chaos has every answered command on a majority's disks, PySyncObj on none (it never flushes)",
        partial(_throughput, RAFT, PYSYNCOBJ),
    ),
    "durable": Part(
        "Both durable: PySyncObj made to flush its journal after each entry",
        partial(_throughput, RAFT, PYSYNCOBJ_FLUSHED),
    ),
    "unsynced": Part(
        "Neither durable: raft-chaos made to skip fdatasync",
        partial(_throughput, RAFT_UNSYNCED, PYSYNCOBJ),
    ),
    "etcd": Part(
        "etcd, as shipped: both have every answered command on a majority's disks",
        _beside_etcd,
        ("raft-chaos", "etcd"),
    ),
    "failover": Part("SIGKILL to the leader, as shipped", _failover),
    "catch_up": Part("A node that was down comes back, as shipped (neither compacts its log)", _catch_up),
    "snapshot": Part("The same, and both compact their logs: it gets a snapshot", _by_snapshot),
    "restart": Part(
        "A node starts again: from its last snapshot, and from its whole log",
        restart.measure,
        ("with snapshots", "whole log"),
    ),
    "memory": Part(
        "The memory of a leader that has 4 MiB of its log in it",
        memory.measure,
        ("a follower is dead", "all alive"),
    ),
    "journal": Part(
        "What the journal costs, as in a live run: events are reported by both",
        journal.measure,
        (journal.JOURNALED.name, journal.UNJOURNALED.name),
    ),
    "networks": Part(
        "The networks between the nodes of a live run, without faults, beside loopback",
        networks.measure,
        ("through it", "loopback"),
    ),
    "sim": Part(
        "The simulator, all checkers and the digest on, beside a loop that only delivers (CPU time of one core)",
        lambda bench: sim.measure(bench.sizes),
        ("simulator", "bare loop"),
    ),
    "start": Part(
        "CPU time of a command until its work begins, and a node's memory, beside an interpreter that does nothing",
        start.measure,
        ("raft-chaos", "python -c pass"),
    ),
    "native": Part(
        "The simulator, compiled, beside its sources (CPU time of one core)",
        native.measure,
        native.SIDES,
    ),
    "executors": Part(
        "A campaign on Dask's workers, beside processes of this machine",
        executors.measure,
        ("Dask", "processes"),
    ),
}
_OPTIONAL = {"etcd": ETCD_PROGRAM is not None, "native": native.IS_INSTALLED, "executors": executors.IS_INSTALLED}
DEFAULT = [name for name in PARTS if _OPTIONAL.get(name, True)]
"""What is measured if nothing is named."""


def main() -> None:
    """Exit codes: 0 all parts were measured, 1 some could not be, 130 interrupted. With --compare: 0 nothing became
    slower, 1 something did, 2 bad arguments."""
    arguments = _arguments()
    if arguments.compare is not None:
        sys.exit(_compare(*arguments.compare))
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    # The fork server loads both systems, so that no start includes the time of imports.
    preload = [*PRELOAD, "bench.systems", "bench.load"]
    failed = False
    try:
        with (
            tempfile.TemporaryDirectory(prefix="raft-bench-", dir=arguments.dir) as folder,
            Supervisor(preload) as supervisor,
        ):
            supervisor.remove_when_orphaned(Path(folder))
            described = machine(Path(folder))
            print(described, flush=True)
            bench = Bench(supervisor, Path(folder), _sizes(arguments))
            measured: list[SavedPart] = []
            for name in arguments.only:
                rows = _run_part(PARTS[name], bench)
                failed |= rows is None
                measured.append(SavedPart(name=name, title=PARTS[name].title, sides=PARTS[name].sides, rows=rows or []))
                if arguments.json is not None:  # after each part: a benchmark that is stopped keeps what it has
                    save(Saved(machine=described, parts=measured), arguments.json)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(EXIT_INTERRUPTED)
    sys.exit(EXIT_FAILED if failed else 0)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description="raft-chaos beside PySyncObj.")
    parser.add_argument("--only", type=_names, default=DEFAULT, metavar="PART,...", help=", ".join(PARTS))
    parser.add_argument("--quick", action="store_true", help="small sizes, one round: whether it works, not how fast")
    parser.add_argument("--rounds", type=_count, metavar="N", help="how often to measure each part")
    parser.add_argument(
        "--commands",
        type=_count,
        metavar="N",
        help="how many a node misses (catch_up, snapshot) or gets (restart, memory)",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write all figures to this file")
    parser.add_argument(
        "--compare", type=Path, nargs=2, metavar=("BEFORE", "AFTER"), help="measure nothing; compare two such files"
    )
    parser.add_argument("--dir", type=Path, help="where the nodes' data is written; a folder on the disk to measure")
    return parser.parse_args()


def _sizes(arguments: argparse.Namespace) -> Sizes:
    sizes = QUICK if arguments.quick else FULL
    if arguments.rounds:
        sizes = sizes._replace(rounds=arguments.rounds)
    if (commands := arguments.commands) is not None:
        sizes = sizes._replace(entries=(commands,), behind=commands, restarted=commands, remembered=commands)
    return sizes


def _count(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"expected a number of at least 1, got {text!r}")
    return int(text)


def _names(text: str) -> list[str]:
    names = text.split(",")
    for name in names:
        if name not in PARTS:
            raise argparse.ArgumentTypeError(f"no part {name!r}; there are {', '.join(PARTS)}")
    return names


def _compare(before: Path, after: Path) -> int:
    try:
        rows = compare(load(before), load(after))
    except SavedError as error:
        print(error, file=sys.stderr)
        return 2
    print(page(rows))
    return EXIT_FAILED if slower(rows) else 0


def _run_part(part: Part, bench: Bench) -> list[Row] | None:
    """Prints the part's table, and returns its rows; None if it could not be measured."""
    print(f"\n{part.title}", flush=True)
    try:
        rows = part.measure(bench)
    except BenchError as error:
        print(f"not measured: {error}", flush=True)
        return None
    print(table(rows, part.sides), flush=True)
    return rows


def table(rows: list[Row], sides: tuple[str, str]) -> str:
    """Medians over the rounds; the ratio is the median of the rounds' ratios, more than 1 where ours is better."""
    return tabulate(
        [[row.name, _figure(row.ours), _figure(row.theirs), *_ratio(row.ratios)] for row in rows],
        headers=["", *sides, "better by", "of the rounds"],
        colalign=["left", "right", "right", "right", "right"],
        disable_numparse=True,
    )


def _figure(rounds: list[float]) -> str:
    if not rounds:
        return ""
    value = median(rounds)
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}"


def _ratio(ratios: list[float]) -> tuple[str, str]:
    if not ratios:
        return "", ""
    return f"x {median(ratios):.2f}", f"{min(ratios):.2f} to {max(ratios):.2f}"


def machine(folder: Path) -> str:
    """Describes the machine: processor, interpreter, and the cost of an fdatasync in `folder`."""
    times_us = _fsync_times_us(folder)
    load = os.getloadavg()[0]
    return (
        f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, {platform.python_implementation()} "
        f"{platform.python_version()}, load average {load:.1f} before the start; "
        f"append and fdatasync: p50 {median(times_us):.0f} µs, p99 {times_us[FSYNCS * 99 // 100]:.0f} µs"
    )


def _fsync_times_us(folder: Path) -> list[float]:
    times_us = []
    with (folder / "fsync").open("wb", buffering=0) as file:
        for _ in range(FSYNCS):
            began = perf_counter()
            file.write(bytes(100))
            os.fdatasync(file.fileno())
            times_us.append((perf_counter() - began) * 1e6)
    return sorted(times_us)
