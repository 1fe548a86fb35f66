"""Many runs: `exposure` (what the faults met), `effects` (the same for each world), `groups` (failures by cause),
`runs` (one row per run directory), `seeds` (the page of a campaign that keeps only sums), `matrix_view`, `matrix` and
`matrix_compare` (who convicts whom, over campaigns after mutants), `exploration` (the states that one reached over
time).
"""
