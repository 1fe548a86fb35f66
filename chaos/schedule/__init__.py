"""From a seed to what is to happen: faults and client operations, as data.

Read in this order: `data` (what a schedule holds), `check` (what it must be), `file` (JSON lines), `config` (what it
is drawn from), `streams` (random numbers, one stream a use), `swarm` (what a seed draws first), `episodes` and
`draw_faults` (the faults), `workload` (the operations), `generate` (all of it).
"""
