"""The command line, `raft-chaos`: it joins `chaos` and `reports`, as the Python API and the pytest plugin do.

The folders group commands by purpose: `run/` (break a cluster), `read/` (read saved runs and histories), `repeat/`
(repeat a failure). A command returns a `Result`, whose page and document `reports` makes; `result.show` prints it.
`app` has all commands, `entry` is the entry point of the console command, `ends` says how every command ends, `streams`
has what becomes of lost output, and all commands share `arguments` and `common`.
"""
