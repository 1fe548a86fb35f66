"""The data of the core: messages, the log, what waits for the disk, what it hands to its host (`ready`), times,
the events that it reports, and a follower's progress.
"""
