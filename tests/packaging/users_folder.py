"""The folder of a user who tests a Raft of their own: packages named as parts of ours are, and a test."""

from __future__ import annotations

from pathlib import Path

PACKAGES = ("raft", "chaos", "invariants", "reports")
TEST = "test_own.py"

PACKAGE = f"""
import sys
from pathlib import Path

frame = sys._getframe(1)
while "importlib" in frame.f_code.co_filename:
    frame = frame.f_back
importer = Path(frame.f_code.co_filename)
if importer.name != "{TEST}":
    with (Path(__file__).parents[1] / "imported").open("a") as file:
        print(__name__, "by", importer, file=file)
    raise RuntimeError(f"{{importer}} imported the package {{__name__}} of the user")
"""

USERS_TEST = """
from pathlib import Path

import raft
from hypothesis import given, settings

from raft_chaos.chaos.mutants import parts_of
from raft_chaos.chaos.run.nodes.memory_driver import MemoryDriver
from raft_chaos.chaos.run.sim.run import VirtualRun
from raft_chaos.chaos.testing.strategies import schedules
from raft_chaos.raft.state.timing import Timing


def test_the_package_is_the_users_own():
    assert Path(raft.__file__) == Path(__file__).parent / "raft" / "__init__.py"


@settings(max_examples=3, deadline=None, derandomize=True, database=None)
@given(schedules(kinds=["kill"], most_nodes=3))
def test_nothing_is_violated(schedule):
    run = VirtualRun(schedule, timing=Timing(150_000, 300_000, 50_000), driver=MemoryDriver(parts_of(None))).go()
    assert not [v.invariant for v in run.analysis.invariants if v.outcome == "violated"]
"""


def lay_out(folder: Path) -> None:
    for package in PACKAGES:
        (folder / package).mkdir(parents=True)
        (folder / package / "__init__.py").write_text(PACKAGE)
    (folder / TEST).write_text(USERS_TEST)


def imported_from(folder: Path) -> str:
    """What of the user's was imported by anything but their test, and by whom; empty if nothing was."""
    told = folder / "imported"
    return told.read_text() if told.exists() else ""
