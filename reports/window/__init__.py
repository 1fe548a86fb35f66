"""A violation of linearizability as a picture: the operations that show it, as bars over time, and what surrounds them.

However long the history is, a window is small: the core of the violation and a few operations near it. Read in this
order:

    content     what is in a window, and how it is chosen from a history
    overlay     the faults and the leaders of a run, which lie behind the bars
    axis        where a moment is drawn: real order, and long gaps drawn short
    timeline    the core as text
    picture     the whole window as SVG, and as an HTML page
    of_run      the window of a saved run
"""
