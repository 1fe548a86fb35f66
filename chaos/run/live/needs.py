"""How many open files the processes of a live run need.

The proxy needs most: for each directed link a listening socket, a connection from the sender and one to the receiver,
and for a moment a second pair when the sender reconnects. Each client keeps a connection to every node.
"""

from __future__ import annotations

from raft_chaos.chaos.processes import open_files

BASE = 48
"""What every process has open beside its connections, with room to spare."""


def require_open_files(nodes: int, clients: int) -> None:
    """Raises TooFewFilesError if a run of this size would run out of them."""
    links = nodes * (nodes - 1)
    needed = {
        "its proxy": 3 * links + links // 2 + BASE,
        "its controller": nodes * (clients + 1) + 6 * nodes + BASE,
        "each node": 3 * (nodes - 1) + clients + BASE,
    }
    open_files.require(needed, f"a run of {nodes} nodes and {clients} clients")
