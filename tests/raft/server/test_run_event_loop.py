"""How a node's process ends where the machine ran out of something: one line, and the exit code that says so."""

from __future__ import annotations

import subprocess
import sys

import pytest

from raft_chaos.raft.server.exit_codes import EXIT_STARVED

STARVED = """
import asyncio
from raft_chaos.raft.server.event_loop import crash_on_any_error, run_event_loop

def fail():
    raise {error}

async def main():
    loop = asyncio.get_running_loop()
    crash_on_any_error(loop)
    {how}
    await asyncio.sleep(60)

run_event_loop(main())
"""


@pytest.mark.parametrize("how", ["fail()", "loop.call_soon(fail)"])
@pytest.mark.parametrize("error", ["""RuntimeError("can't start new thread")""", "MemoryError"])
def test_a_starved_node_ends_with_one_line(how: str, error: str) -> None:
    words = [sys.executable, "-c", STARVED.format(error=error, how=how)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert done.returncode == EXIT_STARVED
    (line,) = done.stderr.splitlines()
    assert line.startswith("the node has too little of something: ")


def test_another_error_keeps_its_traceback() -> None:
    words = [sys.executable, "-c", STARVED.format(error='RuntimeError("x")', how="fail()")]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and "Traceback" in done.stderr
