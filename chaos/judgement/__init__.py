"""The judgement of a run: `tally` (counts), `vacuity` (what a run must show to count), `analysis` (the verdict)."""
