"""The checkers: one property, or one close group of them, a file. `invariants.judge` owns and feeds them.

`base` says what a checker is. `node_logs` and `client_keys` are the two views that several checkers share: each
node's reported log, and what was written to each key. The rest judge: `elections`, `logs`, `commitment`,
`monotonicity`, `durability`, `recovery`, `exits` from events, `client_history` from what clients saw.
"""
