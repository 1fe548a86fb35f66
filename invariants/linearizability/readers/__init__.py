"""Histories from files: what clients of any system did, as operations to be judged.

Read in this order: `history_file` (what comes of a file, and what a mistake in one is), `pairing` (invocations and what
became of them), a file for each format: `jsonl`, `jepsen_log`, and on top of `edn` (the syntax) and `edn_events`
`kv_edn` and `jepsen_edn`; `formats` (all of them by name, and how a file's format is guessed).

A reader never repairs: a line that it cannot make sense of is an error with its number, since a history with a hole in
it can be judged wrong both ways.
"""
