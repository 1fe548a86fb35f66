"""Episodes that are built for one situation: each step waits for what the step before it has brought about.

A seed does not know who will lead. So the steps name nodes by their roles ("the follower that made the majority"), wait
for the next election or truncation, and treat the same nodes in turn (`chaos.faults.names`).

Read `plot` (the steps so far, and how to add one), then any episode, each in its own file; `catalogue` lists all.
"""
