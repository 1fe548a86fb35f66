"""A cluster that a test breaks by hand, in any world: it asks for operations and faults, and the judge watches.

Read in this order: `cluster` (what a test does with it), `stage` (what a world offers for that), `virtual` and `live`
(the stages), `settings` (the cluster that a run's settings describe).
"""
