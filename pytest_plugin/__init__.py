"""The pytest plugin, which pytest loads by itself (docs/pytest.md). It uses the Python API alone.

Read in this order:

    plugin          what pytest calls; imports nothing of ours until a test needs it
    options         the options, the settings in pytest's own file, and the marker
    seeds           which seeds a test runs with
    fixtures        `raft_run`, `raft_cluster`, `raft_sim`
    outcomes        what becomes of a verdict: failures, skips, the reproduction file, what is kept
    reproductions   reproduction files as tests
"""
