"""For a user's own tests: `strategies` and `state_machine` (hypothesis, which is optional), `transcript/` (scenes in
text files).
"""
