"""Runs many seeds: `seed` (the result of one), `line_file`, `file` and `source` (results on disk, so that a campaign of
the same code can continue), `campaign` (seeds on all cores). And checks that one seed gives one trace: `selfcheck`,
with `selfcheck_worker` in each process. And shows that each kind of fault has an effect in each world: `effects`.
"""
