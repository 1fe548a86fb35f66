"""The judges: what a Raft cluster reports, and whether it kept Raft's promises.

Nothing in this package does input or output except `rundir`, which reads a saved run, and the readers of histories.
Read in this order: `events` (what nodes and the harness report), `history` (what clients saw),
`verdict`, `checkers/` (one property a file), `judge` (all of them over one stream), `rundir`,
`trace` (the digest of a run's trace, and where two traces part), `linearizability/` (histories of any system).
"""
