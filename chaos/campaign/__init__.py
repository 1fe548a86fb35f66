"""Many seeds: `seed` (what one came to), `file` (results on disk, so that a campaign can go on), `campaign` (seeds on
all cores). And the proof that one seed is one trace: `selfcheck`, with `selfcheck_worker` in each process.
"""
