"""One node without its host: `machine` (the replicated state machine), `replica` (core and machine in step), `inputs`
(a replica's inputs, as data), `message_events` (what a host reports about its messages).
"""
