"""The checkers: each file holds one invariant, or a few closely related ones. `invariants.judge` owns and feeds them.

`base` defines what a checker is. `node_logs` and `client_keys` are views that several checkers share: the log that
each node reported, and the writes to each key. The other files judge: `elections`, `logs`, `commitment`,
`monotonicity`, `durability`, `recovery`, `sessions` and `exits` from events; `client_history`, `queue` and
`linearizability` from what clients saw.
"""
