"""Checks whether a history of client operations is linearizable (Herlihy and Wing, 1990), and explains why it is not.

Read in this order: `operations` (input and output of the checker), `check` (the steps to an answer), `models` and
`order` (the proof of every "valid"), `versions`, `strings`, `blocks` and `stale` (histories that need no search),
`guess` (most others, if they are valid), `states`, `problem`, `turns`, `moves` and `search` (the rest),
`linearization` (an order of each key, for people), `cores`, `single_operation` and `format` (the core and the argument
of a violation). `readers/` reads operations from files, and `columns/` judges NumPy arrays.
"""
