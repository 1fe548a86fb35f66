"""Systems under test.

Read in this order: `protocol` (what a target must do), `raft` (our own; `raft_process` runs in the process of a node),
`certificates` and `certificate_maker` (for our own with TLS), `command` (any server that a command line starts).
`Settings.target` in `chaos.run.settings` chooses one for a run.
"""
