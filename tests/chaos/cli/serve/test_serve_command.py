"""`raft-chaos serve`: what it refuses before it serves."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

import report_builders as sample
from builders.commands import Command

pytestmark = pytest.mark.usefixtures("empty_folder")


def test_it_says_what_it_expects(command: Command) -> None:
    code, _, stderr = command("serve", "nothing")
    assert code == 254 and stderr == "raft-chaos: FOLDER: nothing cannot be read (No such file or directory)\n"
    run = sample.five_nodes(Path("runs/one"), sample.info()).path
    code, _, stderr = command("serve", run)
    assert code == 254 and f"is one run; expected the folder that it is in, {run.parent.absolute()}" in stderr


def test_a_port_that_is_in_use_is_named(command: Command) -> None:
    Path("runs").mkdir()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, _, stderr = command("serve", "--port", str(port))
    assert code == 254 and f"--port: cannot listen on 127.0.0.1:{port} (Address already in use)" in stderr
