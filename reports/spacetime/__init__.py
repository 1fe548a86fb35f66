"""Space-time diagrams: who did what, and which message led to it (Lamport, 1978; as in ShiViz).

Nodes are columns and time runs downwards, a row for each turn of a node; a message is an arrow. Rows stand in causal
order, not to scale: so each has room for its words, however close together they happened. Read in this order:

    diagram      the data: rows, arrows, and each node's state
    states       each node's role, term, vote, log and commit, followed through the events
    words        a turn in words
    turns        events of a trace, grouped by the turns of nodes
    drawing      a diagram from turns: arrows, states, and what is in the past of each row
    of_run       which turns of a run are drawn: those of a violation's story, and some around them
    of_steps     the diagram of an execution, step by step
    shapes       what is where, as plain rows of data for a picture
    encodings    colours, places and strengths of marks
    marks        names, lifelines, messages, dots and words
    legend       what each mark means
    logs         the logs at the last row
    vega         the picture, as a Vega specification, out of these
"""
