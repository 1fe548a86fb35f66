"""How many open files the processes of a run need, in the worlds with real processes.

Connections need most of them: for each directed link a listening socket, a connection from the sender and one to the
receiver, and for a moment a second pair when the sender reconnects. In live the proxy has these, in lockstep the
controller. In live each client keeps a connection to every node.
"""

from __future__ import annotations

from raft_chaos.chaos.processes import open_files
from raft_chaos.chaos.run.world import World
from raft_chaos.chaos.schedule.data import Header

BASE = 48
"""What every process has open beside its connections, with room to spare."""
NODE = 6
"""What the controller has open for each node: its event file, its control connection, its gate, its process."""


def require(world: World, header: Header) -> None:
    """Has the system allow as many open files as it does at most, and raises TooFewFilesError if a run of this size
    would run out of them."""
    if world == "live":
        require_for_live(len(header.nodes), len(header.clients))
    elif world == "lockstep":
        open_files.raise_limit()
        _require_for_lockstep(len(header.nodes))


def require_for_live(nodes: int, clients: int) -> None:
    """The same, for nodes in real time."""
    open_files.raise_limit()
    needed = {
        "its proxy": _links(nodes) + BASE,
        "its controller": nodes * (clients + 1) + NODE * nodes + BASE,
        "each node": 3 * (nodes - 1) + clients + BASE,
    }
    open_files.require(needed, f"a run of {nodes} nodes and {clients} clients")


def _require_for_lockstep(nodes: int) -> None:
    open_files.require({"its controller": _links(nodes) + NODE * nodes + BASE}, f"a run of {nodes} nodes in lockstep")


def _links(nodes: int) -> int:
    return nodes * (nodes - 1) * 7 // 2
