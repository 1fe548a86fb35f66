"""Many seeds: `seed` (the result of one), `file` (results on disk, so that a campaign can go on), `campaign` (seeds on
all cores). And the proof that one seed is one trace: `selfcheck`, with `selfcheck_worker` in each process.
"""
