"""One run: what all worlds share, and the worlds.

Read in this order: `settings` (what a run is asked to be), `cluster_view` (who leads, who has what, from the events),
`fault_log` (what the nemesis did and what was seen of it), `client_records` (the history), `nodes/` (nodes that move
only when told), and then the worlds: `sim/`, `lockstep/`, `live/`.
"""
