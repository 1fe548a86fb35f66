"""`raft-chaos serve`: the saved runs of a folder in a browser, to this machine only, and runs while they go on.

It only reads. A run directory may be anybody's: of it, only regular files are read, no symbolic link is followed, and
no text of it is shown as a page, except `report.html`, which the browser isolates. Read in this order:

door         who may ask, and what each answer says to the browser
folder       the folder: which runs and campaigns it has; opens files of a run
making       makes a report, in a process of its own (`made`)
reports      the page of a run: its report.html, or one that is made
following    runs that go on (`followed`: one of them)
campaigns    campaigns, also while they go on
seals        which runs are damaged
cards        what the first page says of each
site         the addresses, and what is shown at each
server       the server
command      the command
"""
