"""Is a history of client operations linearizable (Herlihy and Wing, 1990)? And if not, why not?

Read in this order: `operations` (what is judged, and what is answered), `check` (how an answer comes about), `models`
and `order` (the proof of every "valid"), `blocks` and its way there, `versions` and `strings` (histories that need no
search), `states`, `problem`, `moves` and `search` (those that do), `cores` and `words` (what is said of a violation).
`readers/` makes operations of files, and `columns/` judges arrays, for which it needs NumPy.
"""
