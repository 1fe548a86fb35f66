"""The command line, `raft-chaos`: it joins `chaos` and `reports`, as the Python API and the pytest plugin do.

The folders group commands by purpose: `run/` (break a cluster), `read/` (read saved runs and histories), `serve/`
(show them in a browser), `repeat/` (repeat a failure). A command returns a `Result`, whose page and document `reports`
makes; `result.show` prints it. `commands` is the table of all commands, `app` the application, `lazy` imports a command
when it is called and shapes its help, `values` converts what its options were given, `terminal` imports rich where
progress is drawn. `entry` is the entry point of the console command, `start` guards its imports, `ends` says how every
command ends, `usage` and `phrases` put errors into plain words, `streams` has what becomes of lost output. All commands
share `arguments`, `common` and `complete` (what a shell offers).
"""
