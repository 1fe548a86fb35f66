"""The world `lockstep`: real processes, stepped. It shows that the simulator tells the truth.

The scheduler, the network's decisions, the faults, the clients and the checkers are those of `chaos.run.sim`; only the
driver differs. Each incarnation is a process of its own with a real data folder and real TCP links. It moves only when
told, and every frame between two nodes waits in the controller until the scheduler delivers it. From the same seed both
worlds make the same trace, byte for byte; where they do not, one of them is wrong about what a real node does.

Read in this order: `control` (what the scheduler and a node's process say to each other), `gate` (where all frames are
held), `node_process` (what runs in a node's process), `driver` (a process as the scheduler sees it), `run`.
"""
