"""Where the console command begins: Ctrl-C is told in one line from its first moment on.

Everything else is imported only here, which takes about a second.
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
