"""A disk that loses what its node has not synced, for systems that others wrote: the folder of the node's data, served
by a process of the harness through FUSE. A kill then takes what a power failure would take.

Read in this order: `unsynced` (what is not synced yet, and how it is undone: the model of the loss), `file` and
`folder` (the operations on files, without FUSE), `protocol` and `requests` (the kernel's requests, carried out on the
folder), `mount` (where the node alone sees it), `server` (the process), `disk` (its controller).
"""
