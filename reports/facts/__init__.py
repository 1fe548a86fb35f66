"""What happened in a run, counted from its events: one table a file."""
