"""A campaign as a process of its own: `campaign_command.py OUT SEEDS`. Seeds as in 1..9."""

from __future__ import annotations

import sys
from pathlib import Path

from raft_chaos.chaos.cli.common import parse_seeds
from raft_chaos.chaos.cli.run.campaign import run_campaign
from seed_runs import settings

if __name__ == "__main__":
    sys.exit(run_campaign(settings(), parse_seeds(sys.argv[2]), 2, Path(sys.argv[1]), None, None, False, False))
