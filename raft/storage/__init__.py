"""Durable state: `framing` (records in a file), `disk` (files), `failing`, `name_changes`, `unsynced_names` and
`fault_disk` (a disk that fails), `log_file` (the log's format), `sync_mark` (how much of it was synced), `recovery`
(what a node makes of it), `snapshot_file`, `identity` (whose folder it is), `wal` (the write-ahead log, of all
these), `journal` (every input of a node, and a digest of each output).
"""
