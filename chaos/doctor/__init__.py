"""`raft-chaos target check`: whether a target is described rightly, before the system itself is blamed.

Read in this order: `finding` (what a check says), `bench` (a small cluster of the target, without a run), `queue` and
`operations` (each operation, and its failure), `one_cluster` (the nodes found each other), `faults` (each fault that
the target declares has its effect), `log_lines` (lines that say who became leader mean it), `control` (a wrong answer
is convicted), `wipe` (a node's data is gone, and it comes back), `examine` (all of it, in order).
"""
