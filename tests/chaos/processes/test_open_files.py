"""The limit of open files: raised for the harness, given back to a target's command, and checked before a run."""

from __future__ import annotations

import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from raft_chaos.chaos.processes import open_files

LIMITS = """
import sys
from pathlib import Path
from resource import RLIMIT_NOFILE, getrlimit
from raft_chaos.chaos.processes.supervisor import Supervisor
from raft_chaos.chaos.targets.command import CommandTarget
from raft_chaos.chaos.processes.execute import execute
from raft_chaos.chaos.processes import open_files

said = Path(sys.argv[1])
with Supervisor() as supervisor:
    assert getrlimit(RLIMIT_NOFILE) == (400, 400), "raised as far as the hard limit allows"
    argv = ["sh", "-c", "ulimit -Sn; ulimit -Hn"]
    supervisor.start("n1", execute, argv, {}, open_files.users_limit(), stderr=said).wait(30)
assert said.read_text() == "150\\n400\\n", said.read_text()
"""


def limited(soft: int, hard: int) -> Callable[[], None]:
    return lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.live
def test_the_harness_raises_the_limit_and_a_command_gets_it_back(tmp_path: Path) -> None:
    words = [sys.executable, "-c", LIMITS, tmp_path / "said"]
    done = subprocess.run(words, capture_output=True, text=True, preexec_fn=limited(150, 400))
    assert done.returncode == 0, done.stderr


def test_a_limit_that_is_too_low_is_refused_in_one_sentence() -> None:
    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    open_files.require({"its proxy": allowed, "each node": 3}, "a run")
    with pytest.raises(open_files.TooFewFilesError) as refused:
        open_files.require({"each node": 3, "its proxy": allowed + 1}, "a run of 9 nodes")
    assert str(refused.value) == (
        f"a run of 9 nodes needs {allowed + 1} open files in its proxy, and the system allows {allowed}: raise the "
        f"limit (`ulimit -n {allowed + 1}`, as root if it is the hard one), or use fewer nodes or clients"
    )
