"""Executions: a run of a cluster as the bare order of what happened to its nodes, one step after the other.

A schedule says what is to happen and leaves the rest to a network, a clock and a disk. An execution leaves nothing
open: each step is one input of one node, or one thing that a client saw. Played again over the same core it is the same
execution, with no time in it that matters. That is what makes a failure certain, and what lets it be made small: a
step that is taken out takes along only what follows from it.

Read in this order: `steps` (the data), `player` (carries them out, in this process or in real ones), `recording` (the
execution of a run in virtual time), `merge` (that of a live run, from its nodes' journals), `session` (one whose steps
are chosen while it is played), `format` (a step in words), `narrate` (what happens in an execution, in words).
"""
