"""Executions: a run of a cluster as a sequence of steps, where each step is one input of one node.

A schedule says which faults and operations happen, and leaves the rest to a network, a clock and a disk. An execution
determines everything: each step is one input of one node, or one event that a client saw. Playing it over the same core
always gives the same result, whatever the times are. So it reproduces a failure with certainty. It can also be shrunk:
removing a step removes only the steps that depend on it.

Read in this order: `steps` (the data), `player` (plays the steps, in this process or in real ones), `recording`
(records a run in virtual time), `merge` (makes an execution from the journals of a live run), `session` (builds an
execution step by step), `format` (a step as text), `narrate` (an execution as text).
"""
