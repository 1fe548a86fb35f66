"""Is a history of client operations linearizable (Herlihy and Wing, 1990)? And if not, why not?

Read in this order: `operations` (what is judged, and what is answered), `readers/` (operations from files).
"""
