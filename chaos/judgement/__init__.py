"""What a run came to: `tally` (counts), `vacuity` (what a run must show to count), `analysis` (the verdict)."""
