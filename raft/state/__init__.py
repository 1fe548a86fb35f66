"""The data of the core: messages, the log, what waits for the disk, times, the events that it reports, and a
follower's progress.
"""
