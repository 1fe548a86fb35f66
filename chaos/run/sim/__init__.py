"""The world `sim`: the same nodes, faults, workload and checkers as `live`, in one process and in virtual time.

Read in this order: `scheduler` and `tasks` (virtual time), `frame`, `draws` and `network` (what happens to a frame),
`cluster` (which incarnation is up), `capabilities` (what faults can do here), `door` (how clients reach nodes), `trace`
(everything that happened, in one order), `recorder` (its files), `run` (puts a run together), `world` (one run).
"""
