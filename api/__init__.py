"""The Python API, one page of functions: docs/python.md. It joins `chaos` and `reports`, as the command line does.

Read in this order:

    options     the options of a run as keywords, and the settings that they give
    results     a run, a campaign of seeds, violations and tables as objects
    notebook    how these objects look in a notebook
    running     `run`, `run_seeds`
    by_hand     `cluster`: nodes that are broken by hand
    saved       `check`, `shrink`, `reproduce`: what is done with a saved run or a reproduction file
"""

from raft_chaos.api.by_hand import cluster
from raft_chaos.api.results import Campaign, Run, SeedResult, Table, UndecidedError, ViolatedError, Violation
from raft_chaos.api.running import run, run_seeds
from raft_chaos.api.saved import Reproduced, check, reproduce, shrink
from raft_chaos.chaos.processes.shortage import HarnessError, SetupError
from raft_chaos.chaos.reproduction.file import ReproductionError
from raft_chaos.chaos.run.option import OptionError
from raft_chaos.chaos.run.options import Options
from raft_chaos.chaos.testing.by_hand.cluster import ByHandError, Cluster
from raft_chaos.invariants.rundir import RunDirError

__all__ = [
    "ByHandError",
    "Campaign",
    "Cluster",
    "HarnessError",
    "OptionError",
    "Options",
    "Reproduced",
    "ReproductionError",
    "Run",
    "RunDirError",
    "SeedResult",
    "SetupError",
    "Table",
    "UndecidedError",
    "ViolatedError",
    "Violation",
    "check",
    "cluster",
    "reproduce",
    "run",
    "run_seeds",
    "shrink",
]
