"""The world `lockstep`: real processes, stepped. It shows that the simulator is correct.

The scheduler, the network's decisions, the faults, the clients and the checkers are those of `chaos.run.sim`; only the
driver differs. Each incarnation is a process of its own with a real data folder and real TCP links. It takes a step
only on an order, and each frame between two nodes waits in the controller until the scheduler delivers it. From the
same seed both worlds make the same trace, byte for byte; if the traces differ, one world is wrong about what a real
node does.

Read in this order: `control` (the messages between the scheduler and a node's process), `gate` (holds all frames),
`node_process` (what runs in a node's process), `driver` (a process as the scheduler sees it), `run`.
"""
