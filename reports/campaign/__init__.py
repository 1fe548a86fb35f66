"""Many runs: `runs` (a row for each run directory), `seeds` (the page of a campaign that keeps only sums)."""
