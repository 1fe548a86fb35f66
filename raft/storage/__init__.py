"""Durable state: `framing` (records in a file), `disk` (files that can lose what was not synced), `wal` (the write-
ahead log), `journal` (every input of a node, and a digest of each output).
"""
