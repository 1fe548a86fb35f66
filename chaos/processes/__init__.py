"""Child processes that never outlive their owner: `supervisor` for the processes of a run, each the leader of its own
group; `worker_pool` for the workers of a campaign; `safe_path` protects the imports of both. `shortage` and
`open_files` know what a machine can run out of.
"""
