"""The reports: what one run directory, or a campaign of them, has to say to a person, a script or a CI server.

Nothing here runs or judges anything: the verdicts stand in run.json, and the tables are counted from the saved events.
Read in this order:

    text         what may be shown: control characters made visible, durations, Markdown escapes
    faults, nodes, elections, operations, violations     one table each, as plain data counted from the events
    model        `RunReport`: all of these tables of one run, and its summary
    tables       a table as terminal text (80 columns) or as Markdown
    layout       which tables a run's report has, and in which words
    pages        a run's whole report for the terminal and for GitHub
    campaign     the same for many runs: a row for each seed
    seeds        the page of a campaign of so many seeds that only sums of them are kept
    json_report, junit, github      for scripts and CI servers
    window       a violation of linearizability as a timeline and as a picture
    transcript   a trace as lines to be read, one an event
    past         what happened before some events of a trace, and how to find one's way in it
    causes, relevance, remarks, story, mermaid     a violation as a story: what in its past matters, and its diagram
    write        the way in: `write_reports`, `render`, `render_campaign`
"""
