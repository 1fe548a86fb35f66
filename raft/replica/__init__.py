"""One node without its host: `command` (what a client may ask), `result` (an answer), `saved_state` (the state as
bytes), `machine` (the replicated state machine), `inputs` and `output` (what goes into a replica and comes out, as
data), `replica` (core and machine in step), `message_events` (what a host reports about its messages).
"""
