"""Shrinks a failure: finds a minimal schedule and a minimal execution that still violate the same invariant.

Read in this order: `search` (tries candidates on all cores, delta debugging), `executions`, `schedules` with
`candidates` and `anchors`, `failure` (the whole process, up to the reproduction file), `from_run` (a failure in a run
directory), `from_execution` (an execution that violates an invariant). For a system of somebody else, which runs only
in real time: `unsteady` (tries each candidate several times), `live_schedules` with `live_candidates`, `from_live_run`.
"""
