"""Makes a schedule from a seed: faults and client operations, as data.

Read in this order: `data` (what a schedule holds), `check` (whether it is valid), `file` (JSON lines), `config` (the
parameters of the draws), `streams` (random numbers, one stream for each use), `swarm` (what a seed draws first),
`episodes`, `steered/`, `draw_faults` and `endings` (the faults), `workload` and `queue_workload` (the operations),
`generate` (all of it), `left_out` (without one part).
"""
