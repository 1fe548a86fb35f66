"""Durable state: `framing` (records in a file), `disk` (files), `fault_disk` (a disk that fails), `wal` (the write-
ahead log), `journal` (every input of a node, and a digest of each output).
"""
