"""A campaign as a process of its own: `python -m cli.run.campaign_command OUT SEEDS`. Seeds as in 1..9."""

from __future__ import annotations

import sys
from pathlib import Path

import typer

from builders.campaigns import settings
from raft_chaos.chaos.campaign.workers import own_processes
from raft_chaos.chaos.cli.common import parse_seeds
from raft_chaos.chaos.cli.result import show
from raft_chaos.chaos.cli.run.campaign import run_campaign

if __name__ == "__main__":
    result = run_campaign(
        settings(), parse_seeds(sys.argv[2]), own_processes(2), Path(sys.argv[1]), None, None, False, False
    )
    try:
        show(result)
    except typer.Exit as end:
        sys.exit(end.exit_code)
