"""The world `sim`: the same nodes, faults, workload and checkers as `live`, in one process and in virtual time.

Read in this order: `node_clock` and `stepped_node` (one node that moves only when told), `draws` and `network` (what
becomes of a frame), `scheduler` (virtual time), `cluster` (which incarnation is up), `nemesis` and `clients` (what the
schedule asks for), `trace` (everything that happened, in one order), `run` (from an empty cluster to a verdict).

Beside these stand the transcripts, on the same nodes: `hand_driven` (a cluster that is moved by hand), `words` (what a
step did), `commands` and `script` (the files).
"""
