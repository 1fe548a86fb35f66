"""Lives the nodes of a saved run again, from their journals: the same inputs, the same code, in this process.

A node of `live` or `lockstep` comes to the same again, bit for bit, although its run does not repeat; with other code
it comes to the first step at which that code would have behaved differently.

Read in this order: `result` (what a replay comes to), `incarnation` (one incarnation, turn by turn, compared with what
was recorded), `node` (one node, all nodes), `format` (a turn and a node's state for a person), `violation` (up to the
turn that reported what broke an invariant), `simulated` (a run of `sim`, which is made again instead).
"""
