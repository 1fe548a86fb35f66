"""Durable state: `framing` (records in a file), `disk` (files that can lose unsynced bytes), `wal` (the write-
ahead log), `journal` (every input of a node, and a digest of each output).
"""
