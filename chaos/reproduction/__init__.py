"""Reproduction files: one failure, small and self-contained, that anyone can run again.

Read in this order: `file` (its contents, reading and writing) with `system` (the system of somebody else that it is
about), `reproduce` (runs it in virtual time), `live_rate` (measures how often it fails with real processes in real
time).
"""
