"""The kill matrix: which invariant convicts which mutant, in which world, after how many seeds, and which kind of fault
is needed for it. Read `hunt` (one campaign after one mutant), then `matrix` (all of them, on all cores, in a file).
"""
