"""One run: what all worlds share, and the worlds.

Read in this order: `settings` (the options of a run), `directory` (its files), `needs` (how many open files it needs),
`cluster_view` (who leads, who has what, from the events), `tasks` (time and concurrency as a run needs them),
`fault_log` and `nemesis` (the faults), `client_records` and `clients` (the workload), `drain` (the end of a queue),
`phases` (from an empty cluster to the last read). Then `nodes/` (nodes that take one step for each input), and the
worlds, which run all of this: `sim/`, `lockstep/`, `live/`.
"""
