"""Makes a failure small: the shortest schedule and the shortest execution that still break the same invariant.

Read in this order: `search` (trying candidates on all cores, delta debugging), `executions`, `schedules` with
`candidates` and `anchors`, `failure` (all of it in order, down to the reproduction file), `from_run` (what failed in a
run directory), `from_execution` (an execution that somebody came upon).
"""
