"""Pages for a browser: one self-contained file each, without a network. Read in this order:

palette      the colours, for light and dark
library      the plotting library (Vega), packed, as it stands in a page
page         a page from a template; a picture as a part of it
timeline/    the picture of a run over time, as a Vega specification
spacetime    a space-time diagram as a part of a page, to step through
run          the page of one run
explain      the page that explains one failure, and its picture for a document
campaign     the page of several runs
matrix       the page of a kill matrix
chart        one quantity over another, as an image without a script
exploration  the page of an exploration
causality    the page that shows where a failure was decided
runs, live, files, message   what a server shows beside them: the list of runs, a run that goes on, the files of a run
"""
