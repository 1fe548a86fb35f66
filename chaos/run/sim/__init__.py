"""The world `sim`: the same nodes, faults, workload and checkers as `live`, in one process and in virtual time.

Read in this order: `draws` and `network` (what becomes of a frame), `scheduler` (virtual time), `cluster` (which
incarnation is up), `nemesis` and `clients` (what the schedule asks for), `trace` (everything that happened, in one
order), `recorder` (its files), `run` (from an empty cluster to a verdict), `world` (one run, and one seed).
"""
