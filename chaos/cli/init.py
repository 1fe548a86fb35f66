"""`raft-chaos init`: writes a target file, a test and a CI workflow for a project that has none of these yet."""

from __future__ import annotations

import re
from pathlib import Path
from textwrap import indent
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
# checksum = true         # the nodes find flipped bits in what they send to each other, by a checksum of their own

# [ready]                 # by default: the client port accepts connections
# http = "/health"

# [stop]                  # a node ends by itself, with exit code 0, when it is asked to: then runs do that, too
# signal = "SIGTERM"

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
"""Chaos runs of this project's cluster, one for each seed. docs/pytest.md of raft-chaos explains more."""

from pathlib import Path

import pytest

TARGET = str(Path(__file__).parents[{depth}] / "{target}")


@pytest.mark.raft_chaos(target=TARGET, seeds=3)
def test_the_cluster_keeps_its_promises() -> None:
    """Fails for a run that is violated or unknown, and names its directory and the command that repeats it.

    Unknown, because too few operations were served? Lower `rate` in {target}.
    """
'''

WORKFLOW = """\
# Instead of installing and running, a workflow may use raft-chaos as an action, with the same inputs: docs/ci.md.
name: chaos
on:
  push:
  schedule:
    - cron: "0 3 * * *"
permissions:
  contents: read
jobs:
  chaos:
    runs-on: ubuntu-latest
    timeout-minutes: 40
    env:
      TARGET: {target}
      SEEDS: 1..20
      WORLD: live
      TIME_LIMIT: 20m
      OUT: runs
    steps:
      - uses: actions/checkout@v4
      - uses: actions/setup-python@v5
        with:
          python-version: "3.12"
      - run: pip install raft-chaos
      - run: raft-chaos target check "$TARGET"
      # Exit code 2 is unknown: the output says what is missing. Too few operations? Lower `rate` in the target file.
      - name: Break it
        shell: bash
        run: |
{script}
      - uses: actions/upload-artifact@v4
        if: failure()
        with:
          name: raft-chaos-runs
          path: runs
          if-no-files-found: ignore
"""

SCRIPT = Path(__file__).with_name("campaign.sh")
"""The campaign, which the action of this repository runs too."""


def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The root of the project.")] = Path(),
    target: Annotated[str, typer.Option(metavar="FILE", help="The target file, in that folder.")] = "chaos.toml",
) -> Result:
    """Writes a commented target file, a pytest test and a CI workflow. Changes no file that exists."""
    test = folder / "tests" / "test_chaos.py"
    files = {
        folder / target: TARGET.format(target=target),
        test: TEST.format(target=target, depth=1),
        folder / ".github" / "workflows" / "chaos.yml": WORKFLOW.format(target=_yaml(target), script=_indented(10)),
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


def _indented(blanks: int) -> str:
    """The script as the block of a workflow's step."""
    return indent(SCRIPT.read_text(encoding="utf-8").rstrip("\n"), " " * blanks)


def _yaml(text: str) -> str:
    """A text as a value in YAML: in quotes unless it is plain."""
    plain = re.fullmatch(r"[\w./-]+", text, re.ASCII) is not None
    return text if plain else "'" + text.replace("'", "''") + "'"
