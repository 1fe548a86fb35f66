"""What the core holds and says: messages, the log, what waits for the disk, times, and the events that it reports."""
