"""The reports: one run directory, or a campaign of them, for a person, a script or a CI server.

Nothing here runs or judges anything: run.json has the verdicts, and the tables count the saved events.
Read in this order:

    text, tables, event_lines    shared by all reports: text that is safe to print, tables, an event as a line
    facts/       one table each, counted from the events: faults, nodes, elections, operations, violations; and the
                 run over time (`timeline` and what it names), bounded however long the run is
    window/      a violation of linearizability as a timeline and as a picture
    story/       how a violation came about: the events that led to it, as a listing and as a diagram
    spacetime/   the same as a space-time diagram, and an execution step by step
    run/         one run's report
    campaign/    many runs, many seeds
    html/        pages for a browser, and their pictures
    formats/     for programs: JSON, JUnit XML, GitHub, Perfetto
    write        the entry point: `write_reports`, `render`, `render_campaign`
    commands/    the output of the other commands, a file for each kind of result
"""
