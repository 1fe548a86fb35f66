"""The tables of a run, counted from its events: a file for each table."""
