"""A violation of linearizability as a picture: the operations that show it, as bars over time, and their context.

A window is small, however long the history is: the core of the violation and a few operations near it. Read in this
order:

    content     the content of a window, and how it is chosen from a history
    overlay     the faults and the leaders of a run, drawn behind the bars
    axis        the position of a moment: real order, and long gaps drawn short
    timeline    the core as text
    picture     the whole window as SVG, and as an HTML page
    of_run      the window of a saved run
"""
