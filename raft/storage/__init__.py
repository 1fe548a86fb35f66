"""What survives: `framing` (records in a file), `disk` (files that can lose what was not synced), `wal` (the write-
ahead log), `journal` (all that a node took, and what came of it).
"""
