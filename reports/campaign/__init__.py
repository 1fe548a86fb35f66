"""Many runs: `runs` (one row per run directory), `seeds` (the page of a campaign that keeps only sums)."""
