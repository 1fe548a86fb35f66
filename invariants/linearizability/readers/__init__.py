"""Readers of history files: they turn what clients of any system did into operations for the checker.

Read in this order: `history_file` (the result of reading a file, and its errors), `event_order` (the order of calls and
returns), `pairing` (pairs invocations with completions), then the formats: `jsonl`, `jepsen_log`, and `kv_edn` and
`jepsen_edn`, which build on `edn` (the syntax) and `edn_events`; `formats` (all formats by name, and how a file's
format is guessed).

A reader never repairs a file: a line that it does not understand is an error with the line's number. A history with
missing lines could be judged wrongly, both valid and violated.
"""
