"""Child processes that never outlive their owner: `supervisor` for the processes of a run, each the leader of its own
group, with its `reaper`; `worker_pool` for the workers of a campaign; `safe_path` protects the imports of both.
`interrupts` has the signals that end a command; `shortage` and `open_files` know what a machine can run out of.
"""
