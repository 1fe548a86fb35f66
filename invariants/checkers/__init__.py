"""The checkers: each file holds one invariant, or a few closely related ones. `invariants.judge` owns and feeds them.

`base` defines what a checker is. `node_logs`, `causal_past` and `client_keys` are views that several checkers share:
the log that each node reported, what each node can know, and the writes to each key; `configuration` says which sets of
nodes are a quorum. The other files judge: `elections`, `logs`, `quorum_log`, `commitment`, `monotonicity`,
`durability`, `recovery`, `efficiency` and `exits` from events; `client_history`, `queue`, `sessions` and
`linearizability` from what clients saw.
"""
