"""The live world: real node processes, real TCP through the fault proxy, the real clock.

What it repeats from a seed is the schedule, not the interleaving.
"""
