"""The nodes of a live run: which incarnation of each is up, and what the harness does to it.

The harness reports each change once it has seen it: a node is launched when it answers, killed when its process group
is gone, paused when it is in the stopped state. Signals go only to process groups that were started here.

Each class extends the one before, and uses only those before it. Read in this order:

    nodes           the state of each node
    exits           nodes that end by themselves, and who is to blame for it
    observations    what running nodes use of the machine, and who leads
    orders          what a running node is told: its disk, and its clock
    starts          the next incarnation of a node, also one that is killed within its start
    cluster         kills, stops, pauses, slices of time; a node's data while it is down

A method that changes a node's state holds its lock, and checks the state again after each await: a node that ends by
itself changes without the lock.
"""

from raft_chaos.chaos.run.live.cluster.cluster import LiveCluster

__all__ = ["LiveCluster"]
