"""The command line, `raft-chaos`: the only place that joins `chaos` and `reports`.

Commands stand with those of their purpose: `run/` (break a cluster), `read/` (look at what was saved), `repeat/` (make
a failure happen again). `app` has them all, `entry` is where the console command begins, `arguments` and `common` are
what they share.
"""
