"""Commands that start clusters: `run` and its `campaign`, `selfcheck`, and a plain `cluster`."""
