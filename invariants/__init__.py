"""The checkers: they judge from what a Raft cluster reports whether it kept Raft's invariants.

Only `rundir`, which reads a saved run, and the readers of histories do input or output, through `regular_file`.
Read in this order: `events` (what nodes and the harness report), `history` (what clients saw), `verdict`, `pace` (how
much our Raft has to send), `checkers/` (one invariant per file), `judge` (all checkers over one stream), `exposure`
(what a run's faults met), `causal_order` (causes before effects), `rundir`, `seal` (whether its files are as they
were), `trace` (the digest of a run's trace, and the first difference of two traces), `linearizability/` (histories of
any system), `well_formed` (whether a run's lines can be true together).
"""
