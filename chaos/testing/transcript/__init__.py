"""Transcripts: commands to a cluster that is moved by hand, and what it then says, in a text file.

Read in this order: `cluster` (moved by hand), `commands` (what a line does), `script` (a file, replayed or rewritten).
"""
