"""Makes a failure small: the shortest schedule and the shortest execution that still break the same invariant.

Read in this order: `search` (trying candidates on all cores, delta debugging), `executions`, `schedules` with `simpler`
and `anchors`, `failure` (all of it in order, down to the reproduction file), `saved` (what failed in a run directory).
"""
