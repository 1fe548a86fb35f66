"""Systems under test.

Read in this order: `protocol` (what a target must do), `http` (how its doors ask; `session` is the HTTP client), `raft`
(our own; `raft_process` runs in the process of a node), `certificates`, `certificate_folders`, `certificate_maker` (for
our own with TLS), `command` (any server that a command line starts). `find` chooses one for a run.
"""
