"""Tools for a user's own tests: `strategies` and `state_machine` (for hypothesis, which is optional), and `transcript/`
(commands and their output in text files).
"""
