"""The command line, `raft-chaos`: the only place that joins `chaos` and `reports`."""
