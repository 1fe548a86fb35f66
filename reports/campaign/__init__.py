"""Many runs: `runs` (one row per run directory), `seeds` (the page of a campaign that keeps only sums),
`matrix` (who convicts whom, over campaigns after mutants)."""
