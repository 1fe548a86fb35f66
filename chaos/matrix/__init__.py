"""The kill matrix: which invariant convicts which mutant, in which world, after how many seeds, and which fault or
episode is needed for it. Read `cells` (the data), `hunt` (one campaign after one mutant), `plan` (which hunts there
are), `matrix` (all of them, on all cores, in a file), then `estimate` (how long they take).
"""
