"""Systems under test.

Read in this order: `protocol` (what is asked of one), `raft` (our own, with `raft_process` in the process of a node), `command`
(any server that a command line starts).
"""
