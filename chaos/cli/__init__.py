"""The command line, `raft-chaos`: the only place that joins `chaos` and `reports`.

Commands stand with those of their purpose: `run/` (break a cluster), `read/` (look at what was saved), `repeat/` (make
a failure happen again). A command returns a `Result`, whose page and document `reports` makes; `result.show` prints it.
`app` has all commands, `entry` is where the console command begins, `arguments` and `common` are what they share.
"""
