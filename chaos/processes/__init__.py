"""Child processes that never outlive their owner: `supervisor` for the processes of a run, each the leader of its own
group, with its `reaper`; `first_steps` is how each of them begins, `execute` how one becomes a program of somebody
else. `worker_pool` has the workers of a campaign; `safe_path` protects the imports of all. `interrupts` has the signals
that end a command; `shortage` and `open_files` know what a machine can run out of, and `compiled` whether
the compiled modules are in use.
"""
