"""The option that rewrites transcripts, and the console command in this process.

The option is known when pytest is given this folder or a file in it.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from builders.commands import Command
from raft_chaos.chaos.cli.app import main
from raft_chaos.chaos.processes import interrupts


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--rewrite", action="store_true", help="write the output of now into the transcripts")


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    """`raft-chaos` with these words, as its console script calls it: exit code, stdout, stderr."""

    # An interrupt ends the process of a command; here the next one must not take it for its own.
    monkeypatch.setattr(interrupts, "_received", None)

    def call(*words: str | Path) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["raft-chaos", *map(str, words)])
        return main(), *capsys.readouterr()

    return call
