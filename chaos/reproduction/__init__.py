"""The reproduction file: one failure, small and self-contained, that anyone can run again.

Read in this order: `file` (what is in it, how it is written and read), `reproduce` (running it in a world of virtual
time), `live_rate` (how often it comes about with real processes in real time).
"""
