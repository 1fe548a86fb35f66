"""`raft-chaos init`: writes a target file, a test and a CI workflow for a project that has none of these yet."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from raft_chaos.chaos.cli.common import fail, say
from raft_chaos.chaos.cli.result import Result

TARGET = """\
# What raft-chaos breaks. Next: raft-chaos target check {target}
# All keys: docs/target-toml.md of raft-chaos. What is left out, no run asks for.

# A relative path of a file beside this one, such as ./my-server, is found from whatever folder raft-chaos is called.
command = [
    "./my-server", "--name", "{{node}}", "--listen", "127.0.0.1:{{port.client}}",
    "--peer-listen", "127.0.0.1:{{port.peer}}", "--peers", "{{peers}}", "--data", "{{data}}",
]
persistent = true         # a node that is killed has what it acknowledged when it starts again
network = "tcp"           # or frames, netns, none: how the links between the nodes are broken
# rate = 100              # operations a second, of all clients together. Lower it if runs end as unknown because too
#                           few operations were served: each client waits for its last one, so a slow server does few
peers = "{{node}}=http://{{host}}:{{port.peer}}"   # one node in {{peers}}, at the address where this node reaches it
# heartbeats = true       # the nodes send to each other all the time

# [ready]                 # by default: the client port accepts connections
# http = "/health"

# [status]                # who leads; without it, faults on "the leader" hit a drawn node
# request = "GET /status"
# leads = {{ body = {{ role = "leader" }} }}
# term = "term"

[get]
request = "GET /kv/{{key|url}}"
ok = {{ status = [200, 404] }}
value = "value"           # where the answer has what was read; nothing there: the key is absent

[put]
request = "PUT /kv/{{key|url}}"
body = {{ value = "{{value}}" }}
ok = {{ status = 200 }}
# elsewhere = {{ status = 503 }}   # this node certainly did not take it. Any other answer: outcome unknown

# [[events]]                      # lines of the nodes' logs that say who became leader
# event = "leader_elected"
# pattern = 'became leader at term (?P<term>\\d+)'

# [cas]
# request = "POST /kv/{{key|url}}/cas"
# body = {{ value = "{{value}}", expected = "{{expected}}" }}
# ok = {{ status = 200 }}
# fail = {{ status = 409 }}        # certainly no effect, now or later
"""

TEST = '''\
"""Chaos runs of this project's cluster. A failure names the run directory and the command that repeats it."""

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[{depth}]


@pytest.mark.parametrize("seed", range(1, 4))
def test_the_cluster_keeps_its_promises(seed: int) -> None:
    command = ["raft-chaos", "run", "-q", "--target", "{target}", "--seed", str(seed)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    # 1: violated. 2: unknown, and the output says what is missing: too few operations? lower `rate` in {target}.
    # 254: it cannot run as described.
    assert done.returncode == 0, done.stdout + done.stderr
'''

WORKFLOW = """\
name: chaos
on:
  push:
  schedule:
    - cron: "0 3 * * *"
jobs:
  chaos:
    runs-on: ubuntu-latest
    timeout-minutes: 30
    steps:
      - uses: actions/checkout@v4
      - uses: actions/setup-python@v5
        with:
          python-version: "3.12"
      - run: pip install raft-chaos
      - run: raft-chaos target check {target}
      # Exit code 2 is unknown: the output says what is missing. Too few operations? Lower `rate` in {target}.
      - run: raft-chaos run --target {target} --seeds 1..20
      - uses: actions/upload-artifact@v4
        if: failure()
        with:
          name: runs
          path: runs
"""


def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The root of the project.")] = Path(),
    target: Annotated[str, typer.Option(metavar="FILE", help="The target file, in that folder.")] = "chaos.toml",
) -> Result:
    """Writes a commented target file, a pytest test and a CI workflow. Changes no file that exists."""
    test = folder / "tests" / "test_chaos.py"
    files = {
        folder / target: TARGET.format(target=target),
        test: TEST.format(target=target, depth=1),
        folder / ".github" / "workflows" / "chaos.yml": WORKFLOW.format(target=target),
    }
    if not folder.is_dir():
        fail(f"DIR: {folder} is no folder")
    written = 0
    for file, text in files.items():
        if file.exists():
            say(f"kept {file}, which exists already")
            continue
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
        except OSError as error:
            fail(f"{file}: cannot be written: {error.strerror}")
        written += 1
        say(f"wrote {file}")
    next_ = f"Next: describe your server in {folder / target}, then: raft-chaos target check {folder / target}"
    return Result(page=[next_] if written else ["everything is there already"])
