"""Raft, from the extended paper (Ongaro and Ousterhout, 2014): the one that we ship, and break.

Read in this order, each file leaning only on those before it:

    messages    what nodes say to each other, log entries, what is written to the log
    log         the log in memory, and which of it is durable
    pending     records on their way to the disk, and what waits for them
    timing, reporter    when the core acts, and how it says what it did
    core        Figure 2: election, replication, commitment; no input or output of any kind
    machine     the replicated state machine: a key-value store with client sessions
    replica     one node without its host: core, write-ahead log format and state machine in step
    inputs      what a replica is told, as data
    framing     records in a file, and which damage is a torn tail
    disk, wal   files that can lose what was not synced; the write-ahead log in them
    journal     all that a node took, and what came of it, so that it can be lived again
    codec, transport   frames over TCP, and the links between nodes
    host        the live host: real clock, real sockets, real disk around a replica
    http_api    what clients see
    node        one node as a process
"""
