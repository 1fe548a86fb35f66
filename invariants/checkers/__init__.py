"""The checkers: each file holds one invariant, or a few closely related ones. `invariants.judge` owns and feeds them.

`base` defines what a checker is. The views gather what checkers rest on: `node_logs` the log that each node reported,
`causal_past` what each node can know, `leaderships` who led when, `standing` the times in which nothing changes, and
`timer_resets` what reset each election timer, `disturbed` when a node did not act in time, `round_trips` what was
answered to a leader's requests, and `client_keys` the writes to each key; `configuration` says which sets of nodes are
a quorum. The other files judge: `elections`, `election_timer`, `check_quorum`, `followed_leader`, `leader_recognized`,
`heartbeats`, `logs`, `consistency_check`, `quorum_log`, `commitment`, `monotonicity`, `durability`,
`liveness_under_fault`, `recovery`, `stable_leadership`, `leader_no_op`, `log_bounded`, `waiting_bounded`, `efficiency`
and `exits` from events; `client_history`, `queue`, `sessions`, `session_expiry`, `stale_reads` and `linearizability`
from what clients saw; `read_index` from both.
"""
