"""Children that never outlive their owner, whatever ends it: `supervisor` for the processes of a run, each of which
leads a group of its own; `worker_pool` for the workers of a campaign; `safe_path` for what either may import.
"""
