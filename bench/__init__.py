"""Benchmarks: our Raft beside PySyncObj, both as three real processes, under the same client. `python -m bench`."""
