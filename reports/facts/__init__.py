"""What happened in a run, counted from its events: a file for each table."""
