"""One node without its host: `result` (an answer), `saved_state` (the state as bytes), `machine` (the replicated
state machine), `replica` (core and machine in step), `inputs` (a replica's inputs, as data), `message_events` (what a
host reports about its messages).
"""
