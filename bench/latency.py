"""Shows where the microseconds of one command go, between its client, the leader, a follower and the disks.

    python -m bench.latency [--commands 2000] [--folder DIR]

One client puts one key after the other to the leader of three nodes, on one connection. The nodes report their events,
as in a chaos run, and all of them read one clock: so each command is cut at the moments at which its messages left and
arrived. Of the two followers the one counts whose answer came first. Beside the parts stand the bare figures of this
machine: a sync of one small record, and a message between two processes over TCP. No Raft can take
less than four messages and one sync: the disks of the leader and of the followers work at the same time.
"""

from __future__ import annotations

import argparse
import os
import socket
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import monotonic_ns
from typing import Any

from msgspec.structs import replace
from tabulate import tabulate

from bench.http import HOST, put_request
from bench.lockstep import ping_pong
from bench.systems import NODES, Cluster, Place, System, raft_arguments
from raft_chaos.chaos.processes.supervisor import Supervisor
from raft_chaos.chaos.targets.raft_process import node_main
from raft_chaos.invariants.events import AnyEvent, CommitAdvanced, EntryApplied, MessageReceived, MessageSent, decode

WARM_UP = 200
SYNCS = 1_000
RECORD = b"x" * 100
HOPS = 4
"""A round trip of the ping-pong is four messages, since it goes through a proxy."""


def _arguments(place: Place) -> tuple[Any, ...]:
    config, mutant = raft_arguments(place)
    return replace(config, events_file=str(events_file(place.folder.parent, place.node))), mutant


def events_file(folder: Path, node: str) -> Path:
    return folder / f"{node}.events"


OBSERVED = System("raft-chaos, observed", node_main, _arguments)


@dataclass(frozen=True)
class Trip:
    """When one command passed each point, in µs of the machine's monotonic clock."""

    asked: int
    sent: int
    arrived: int
    answered: int
    returned: int
    committed: int
    got: int


PARTS: Sequence[tuple[str, str, str]] = (
    ("client asks, leader sends to the followers", "asked", "sent"),
    ("message to the follower", "sent", "arrived"),
    ("follower writes, syncs, and answers", "arrived", "answered"),
    ("message to the leader", "answered", "returned"),
    ("leader waits for its own disk", "returned", "committed"),
    ("leader applies and answers, client has it", "committed", "got"),
)


def ask(port: int, commands: int) -> list[tuple[int, int]]:
    """Puts so many keys, one after the other; for each when it was sent, and when the answer was there (µs)."""
    moments = []
    with socket.create_connection((HOST, port)) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for number in range(commands):
            request = put_request(f"k{number % 100}", f"{number}")
            began = monotonic_ns()
            client.sendall(request)
            answer = client.recv(4096)
            moments.append((began // 1000, monotonic_ns() // 1000))
            if not answer.startswith(b"HTTP/1.1 200"):
                raise SystemExit(f"the leader refused a command: {answer.decode(errors='replace')}")
    return moments


class Trips:
    """Cuts commands into trips by the events of all nodes, of which `leader` led."""

    def __init__(self, leader: str, events: dict[str, list[AnyEvent]]) -> None:
        self._sent: dict[int, list[tuple[int, str, int]]] = {}  # index -> (when, follower, number)
        self._returned: dict[int, tuple[int, str, int]] = {}  # index -> the first answer: (when, follower, its number)
        self._committed: dict[int, int] = {}
        self._arrived: dict[tuple[str, int], int] = {}  # (follower, number of the leader's message)
        self._answered: dict[tuple[str, int], int] = {}  # (follower, number of its message)
        for event in events[leader]:
            match event:
                case MessageSent(type="AppendEntries") if event.size:
                    leaves = event.t_us, event.to, event.number
                    self._sent.setdefault(event.prev_log_index + 1, []).append(leaves)
                case MessageReceived(type="AppendEntriesReply") if event.match_index:
                    self._returned.setdefault(event.match_index, (event.t_us, event.sender, event.number))
                case CommitAdvanced():
                    self._committed[event.index] = event.t_us
        for follower in events.keys() - {leader}:
            for event in events[follower]:
                match event:
                    case MessageReceived() if event.sender == leader:
                        self._arrived[follower, event.number] = event.t_us
                    case MessageSent() if event.to == leader:
                        self._answered[follower, event.number] = event.t_us

    def of(self, index: int, asked: int, got: int) -> Trip | None:
        """The trip of the command at this index; None if the answer to it came together with the next one's."""
        try:
            returned, follower, reply = self._returned[index]
            sent, number = next((at, number) for at, to, number in self._sent[index] if to == follower)
            arrived, answered = self._arrived[follower, number], self._answered[follower, reply]
            return Trip(asked, sent, arrived, answered, returned, self._committed[index], got)
        except (KeyError, StopIteration):
            return None


def sync_us(folder: Path) -> float:
    """The median time of a write of one record and its fdatasync."""
    took = []
    with (folder / "syncs").open("wb", buffering=0) as file:
        for _ in range(SYNCS):
            began = monotonic_ns()
            file.write(RECORD)
            os.fdatasync(file.fileno())
            took.append((monotonic_ns() - began) / 1e3)
    return median(took)


def measure(folder: Path, commands: int) -> list[Trip]:
    with Supervisor() as supervisor, Cluster(OBSERVED, supervisor, folder / "cluster") as cluster:
        leader = cluster.leader()
        ask(cluster.http_port(leader), WARM_UP)
        cluster.wait_until_level()
        first = cluster.last_applied(leader) + 1
        asked = ask(cluster.http_port(leader), commands)
        cluster.wait_until_level()
        events = {node: _read(events_file(folder / "cluster", node)) for node in NODES}
    applied = [event.index for event in events[leader] if isinstance(event, EntryApplied) and event.index >= first]
    if len(applied) != commands:
        raise SystemExit(f"the leader applied {len(applied)} entries for {commands} commands: measure again")
    trips = Trips(leader, events)
    found = [trips.of(index, *moments) for index, moments in enumerate(asked, first)]
    return [trip for trip in found if trip is not None]


def _read(file: Path) -> list[AnyEvent]:
    return [decode(line) for line in file.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.latency")
    parser.add_argument("--commands", type=int, default=2_000)
    parser.add_argument("--folder", type=Path, default=None, help="a folder on the disk to measure")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        sync, hop = sync_us(Path(folder)), 1e6 / ping_pong() / HOPS
        found = measure(Path(folder), options.commands)
    rows = [(name, [getattr(trip, to) - getattr(trip, since) for trip in found]) for name, since, to in PARTS]
    whole = [trip.got - trip.asked for trip in found]
    rows.append(("the whole command", whole))
    table = [[name, f"{median(took):.0f}", f"{median(took) / median(whole):.0%}"] for name, took in rows]
    table += [
        ["bare: one write and its sync", f"{sync:.0f}", f"{sync / median(whole):.0%}"],
        ["bare: one message over TCP", f"{hop:.0f}", f"{hop / median(whole):.0%}"],
        ["bare: four messages and one sync", f"{4 * hop + sync:.0f}", f"{(4 * hop + sync) / median(whole):.0%}"],
    ]
    print(tabulate(table, ["", "us, median", "of the whole"], colalign=("left", "right", "right")))
    print(f"{len(found)} commands of {options.commands} were cut into their parts.", file=sys.stderr)


if __name__ == "__main__":
    main()
