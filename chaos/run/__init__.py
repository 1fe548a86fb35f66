"""One run: what all worlds share, and the worlds.

Read in this order: `settings` (what a run is asked to be), `directory` (its files), `cluster_view` (who leads, who has
what, from the events), `tasks` (time and concurrency as a run needs them), `fault_log` and `nemesis` (the faults),
`client_records` and `clients` (the workload), `phases` (from an empty cluster to the last read). Then `nodes/` (nodes
that move only when told), and the worlds, which offer to all of this what they can: `sim/`, `lockstep/`, `live/`.
"""
