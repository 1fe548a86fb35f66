"""The world `live`: real node processes, real TCP through the fault proxy, the real clock.

The same seed repeats the schedule, not the interleaving.

Read in this order: `tasks` (real time), `network/` (the proxy), `kernel` and `enter` (namespaces), `disk/` (disks that
lose what is not synced), `tail`, `watcher` and `status` (what nodes report, or answer), `cluster/` (which incarnation
is up), `emptied` (its disk is lost), `capabilities` (what faults can do here), `line_file`, `door` and `history` (how
clients reach nodes, and what they saw), `progress` (a run at one moment), `run` (puts a run together), `follow` (a run
of another process, from its files).
"""
