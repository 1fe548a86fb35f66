"""The one name that is installed. In the repository its four packages are links to the folders beside this one.

raft          the Raft that we ship and break
invariants    events, histories and the checkers that judge them
chaos         faults, schedules, worlds, campaigns, shrinking, the command line
reports       what a run directory has to say
"""

from pathlib import Path

_HERE = Path(__file__).resolve().parent
if (_HERE / "raft").is_symlink():
    # A checkout: tracebacks and breakpoints are to name the real files, not the links to them.
    __path__ = [str(_HERE.parent)]
