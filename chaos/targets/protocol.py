"""The protocol between the controller and a system under test.

A target declares what it can (`can`, see `chaos.faults.abilities`), starts one incarnation of one node at a time, and
makes the doors through which clients reach it. All that the rest of the harness knows of a system is here: nothing asks
which one it is.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple, Protocol, TypeAlias, runtime_checkable

import msgspec

from raft_chaos.chaos.faults.abilities import OF_NETWORK, Abilities
from raft_chaos.chaos.faults.clock import Ahead
from raft_chaos.chaos.targets.addresses import HOST, Ports
from raft_chaos.chaos.targets.door import Door
from raft_chaos.chaos.targets.http import HttpSession
from raft_chaos.invariants.events import Role
from raft_chaos.invariants.rundir import RunDir
from raft_chaos.raft.server.node_clock import RIGHT, Segment
from raft_chaos.raft.state.features import NONE, Features
from raft_chaos.raft.storage.failing import Failing

if TYPE_CHECKING:  # what starts processes, which whoever asks what a target can does not do
    import socket
    from multiprocessing.connection import Connection

    from raft_chaos.chaos.processes.supervisor import Child, Supervisor

USUAL_RATE = 100.0
START_TIMEOUT_S = 30.0
"""How long a node may take to answer, unless its target says otherwise."""

NetworkName: TypeAlias = Literal["frames", "tcp", "netns", "messages", "none"]
"""How the links between the nodes are broken: `chaos.run.live.network`."""


DiskName: TypeAlias = Literal["kept", "lossy"]
"""See `chaos.faults.abilities.DISKS`."""


class TargetError(Exception):
    """A node of the system under test did not come up. The message has its name and its last output."""


class EndedError(TargetError):
    """A node ended before it answered: with this exit code, and with these last words on stderr."""

    def __init__(self, node: str, exit_code: int, said: str) -> None:
        super().__init__(f"{node} ended with exit code {exit_code} before it answered{': ' + said if said else ''}")
        self.exit_code = exit_code
        self.said = said


class Peer(Protocol):
    """A node that speaks over its stdin and stdout, as the network `messages` sees it."""

    def is_ready(self) -> bool: ...
    async def request(self, client: str, body: dict[str, Any]) -> dict[str, Any]: ...


@dataclass(frozen=True)
class Launch:
    """One start of one node.

    `peers` is where it reaches each of the other nodes; `ports` are the named ports of all nodes, and `hosts` where
    each node listens. `route` is called with the port for its peers as soon as that is known: from then on it hears
    them. `enter` is called in the node's process before its program begins, to move it into its network. `doors` says
    where the harness reaches a port of a node, if that is not where the node listens. `attach` gives the network the
    other end of the node's stdin and stdout, if it is the network of such nodes. `secret_file` has the secret by which
    the nodes know each other, in a run with one. `failing` is what the node's disk fails at from its start on,
    `clock` what its clock shows, and `features` are those that nodes of our own Raft have.
    """

    run: RunDir
    seed: int
    node: str
    incarnation: int
    peers: Mapping[str, tuple[str, int]]
    epoch_us: int
    ports: Ports = field(default_factory=dict)
    hosts: Mapping[str, str] = field(default_factory=dict)
    route: Callable[[int], None] = lambda port: None
    enter: Callable[[], None] | None = None
    attach: Callable[[socket.socket], Peer] | None = None
    doors: Callable[[str, int], tuple[str, int]] | None = None
    secret_file: Path | None = None
    failing: Failing | None = None
    clock: Segment = RIGHT
    features: Features = NONE

    def reach(self, port: int) -> tuple[str, int]:
        """Where the harness reaches this port of the node."""
        return self.doors(self.node, port) if self.doors is not None else (self.host, port)

    @property
    def host(self) -> str:
        return self.hosts.get(self.node, HOST)


StopSignal: TypeAlias = Literal["SIGTERM", "SIGINT", "SIGQUIT", "SIGHUP", "SIGUSR1", "SIGUSR2"]


class Stopping(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a node is asked to end by itself: its process group gets the `signal`. It must then end `within_s`, with one
    of these `exit_codes`; a negative one is the number of the signal that ended it."""

    signal: StopSignal = "SIGTERM"
    exit_codes: Annotated[tuple[int, ...], msgspec.Meta(min_length=1)] = (0,)
    within_s: Annotated[float, msgspec.Meta(gt=0, le=600)] = 10.0


STOPPING = Stopping()
"""How a node is asked to end, unless its target says otherwise."""


@dataclass
class Running:
    """A node that has been started. `is_ready` says whether it answered `within_s`; one that did not still runs.

    A node that ends by itself with the exit code `starved` had too little of the machine, which is no mistake of it.
    """

    child: Child
    http_url: str
    control: Connection | None = None
    starved: int | None = None
    is_ready: bool = True
    within_s: float = START_TIMEOUT_S
    stopping: Stopping = STOPPING
    unread: int = 0
    """How many answers of `control` came too late to be read so far."""

    def slow_sync(self, min_us: int, max_us: int) -> int:
        """Slows its syncs from now on; 0, 0 ends that. Returns how many were slowed since the last call."""
        slowed: int | None = self._tell("slow_sync", (min_us, max_us))
        return slowed or 0

    def break_disk(self, failing: Failing | None) -> int | None:
        """Its disk fails at this from now on; at nothing with None. Returns how often it has failed, if it says so."""
        failed: int | None = self._tell("failing", failing)
        return failed

    def set_clock(self, clock: Segment) -> Ahead | None:
        """Its clock shows this from now on. Returns what that changed, if the node says so."""
        ahead = self._tell("clock", clock)
        return Ahead(*ahead) if ahead is not None else None

    def transfer(self, to: str) -> bool:
        """Asks it to hand over the leadership to this node. Returns whether it says that it begins to."""
        begins: bool | None = self._tell("transfer", to)
        return begins is True

    def _tell(self, what: str, value: object) -> Any:
        """Sends it to the node, and returns its answer; None if there is none."""
        if self.control is None:
            return None
        try:
            self.control.send((what, value))
            self.unread += 1
            answer = None
            while self.unread and self.control.poll(1.0):
                answer, self.unread = self.control.recv(), self.unread - 1
            return None if self.unread else answer
        except (EOFError, OSError):
            return None  # the node ended meanwhile


class Status(NamedTuple):
    """What a node says of itself. `role` is None if it does not say; so is `term`."""

    role: Role | None
    term: int | None


@runtime_checkable
class HearsStatus(Protocol):
    """A target that shows what a node answers to the question for its status, as it comes."""

    async def heard_of_status(self, session: HttpSession, url: str) -> str: ...


class Target(Protocol):
    """A system under test.

    `name` is what reports call it. `ports` are the names of the ports on which each node listens; the harness chooses
    the numbers. `link_port` is the one among them for its peers.
    """

    @property
    def name(self) -> str: ...
    @property
    def can(self) -> Abilities: ...
    @property
    def network(self) -> NetworkName: ...
    @property
    def ports(self) -> tuple[str, ...]: ...
    @property
    def link_port(self) -> str | None: ...
    def start(self, supervisor: Supervisor, launch: Launch) -> Running:
        """Returns once the node answers, or START_TIMEOUT_S have passed. Raises TargetError for a node that ended
        before, HarnessError if the harness itself could not start it."""
        ...

    def door(self, session: HttpSession, urls: Callable[[], Mapping[str, str]]) -> Door:
        """A client's door. `urls` gives where clients reach the nodes that have ever been up."""
        ...

    async def status(self, session: HttpSession, url: str) -> Status | None:
        """What the node at this URL says of itself; None without an understandable answer in half a second."""
        ...

    async def close(self) -> None:
        """The run is over: gives back what its doors hold."""
        ...


@runtime_checkable
class Wiper(Protocol):
    """A target that must itself remove some of the data of a node, beside its data folder."""

    def wipe(self, node: str) -> None:
        """The node is down. Raises HarnessError if its data cannot be removed."""
        ...


@runtime_checkable
class HasRate(Protocol):
    """A target that says how many operations a second suit it; None: it does not."""

    @property
    def rate(self) -> float | None: ...


def rate_of(target: Target) -> float:
    """How many operations a second all clients together ask for, if the user does not say."""
    said = target.rate if isinstance(target, HasRate) else None
    return said if said is not None else USUAL_RATE


def abilities_of(target: Target) -> Abilities:
    """What the target can do in real time: its nodes, and the network between them."""
    return target.can | OF_NETWORK[target.network]


TAIL_BYTES = 64 * 1024


def tail(file: Path, lines: int = 12) -> str:
    """The last lines of a text file, which may be huge; "" if there is none."""
    try:
        with file.open("rb") as opened:
            opened.seek(max(0, opened.seek(0, os.SEEK_END) - TAIL_BYTES))
            text = opened.read(TAIL_BYTES).decode(errors="replace")
    except OSError:
        return ""
    return "\n".join(text.splitlines()[-lines:])
