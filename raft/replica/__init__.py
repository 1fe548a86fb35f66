"""One node without its host: `machine` (the replicated state machine), `replica` (core and machine in step), `inputs`
(what a replica is told, as data).
"""
