"""A controller that does not come to its end: `doomed_controller.py FOLDER killed|raises`.

It starts three children (one paused, one with a stubborn child of its own), names a temporary folder, writes all
pids to FOLDER/pids, and then waits to be killed, or ends by an exception once FOLDER/go is there.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from children import has_a_stubborn_child, sleeps

from raft_chaos.chaos.processes.supervisor import Supervisor


def main(folder: Path, how: str) -> None:
    with Supervisor() as supervisor:
        orphaned = folder / "orphaned"
        orphaned.mkdir()
        supervisor.remove_when_orphaned(orphaned)
        ours, theirs = supervisor.pipe()
        plain = supervisor.start("plain", sleeps)
        paused = supervisor.start("paused", sleeps)
        parent = supervisor.start("parent", has_a_stubborn_child, theirs)
        paused.pause()
        pids = [plain.pid, paused.pid, parent.pid, ours.recv()]
        (folder / "staged").write_text(json.dumps(pids))
        (folder / "staged").rename(folder / "pids")
        while how == "killed" or not (folder / "go").exists():
            time.sleep(0.01)
        raise RuntimeError("the controller failed")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
