"""Commands that start a cluster: `run` and its `campaign`, `selfcheck`, and a plain `cluster`."""
