"""Raft, from the extended paper (Ongaro and Ousterhout, 2014): the implementation that we ship, and break.

Read in this order; each package uses only those before it:

    state/      messages, log, held and pending (what waits for the disk), timing, reporter, progress (what a leader
                knows of a follower)
    core/       Figure 2: terms, commitment, replication, election; without any I/O
    network/    codec, handshake and transport: frames over TCP, and the links between nodes
    replica/    machine (a key-value store with client sessions), replica (core and machine in step), inputs
    storage/    framing, disk, fault_disk (one that fails), wal (the write-ahead log), journal (a node's inputs, so
                that it can be replayed)
    server/     claims (what a peer may say), parts (a node's classes), host (real clock, sockets and disk around a
                replica), http_door, http_api, node
"""
