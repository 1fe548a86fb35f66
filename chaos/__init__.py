"""The controller: breaks a cluster on purpose, drives clients against it, and records what happened.

Read in this order: `actions` and `schedule` (what is to happen, as data), `generate` and `swarm` (a seed makes it),
`grudge` (partitions), `target` (what is asked of a system under test), `live/` (the world of real processes),
`campaign`, `replay/` (a saved run's nodes lived again), `cli/`.
"""
