"""Nodes that take one step for each input, for every world of virtual time.

Read in this order: `step` (its parameters and reports), `stepped_node` (one node), `driver` (where nodes run),
`memory_driver` (in this process).
"""
