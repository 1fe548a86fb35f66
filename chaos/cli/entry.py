"""The entry point of the console command. It reports Ctrl-C in one line from the start.

So it imports everything else only here, which takes about a second.
"""

from __future__ import annotations

import sys


def main() -> None:
    """The console command; see `chaos.cli.app.main`."""
    try:
        from raft_chaos.chaos.cli.app import main as run
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)
    run()
