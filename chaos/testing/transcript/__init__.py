"""Transcripts: text files with commands to a hand-driven cluster, and their output.

Read in this order: `cluster` (the hand-driven cluster), `commands` (what each line does), `script` (replays or rewrites
a file).
"""
