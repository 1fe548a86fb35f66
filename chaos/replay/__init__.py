"""Replays the nodes of a saved run from their journals: the same code gets the same inputs, in this process.

A live run as a whole does not repeat, but each node of `live` or `lockstep` repeats bit for bit. With other code the
replay stops at the first turn in which that code behaves differently.

Read in this order: `algorithm` (which runs can be replayed), `result` (the result of a replay), `incarnation` (one
incarnation, turn by turn, compared with the recording), `node` (one node, all nodes), `format` (a turn and a node's
state as text), `violation` (a replay up to the turn that reported a violation), `simulated` (a run of `sim`, which is
run again instead), `as_sim` (a whole run as one execution), `confirm` (whether a violation without a seal is real).
"""
