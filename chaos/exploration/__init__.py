"""Exploration: looks for what chance does not find, and for where a failure was decided.

Read in this order: `coverage` (the abstract states that a run reaches), `variants` (a schedule with a few changes),
`attempt` (one schedule, and what its run reached), `corpus` (the schedules worth changing), `explorer` (what to run
next), `journal` (its file), `exploration` (the loop, on all cores). And for one failure: `walk` (a random continuation
of an execution), `causality` (the chance that it fails after each step).
"""
