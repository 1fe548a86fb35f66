"""Benchmarks: our Raft and PySyncObj, each as three real processes, with the same client. `python -m bench`."""
