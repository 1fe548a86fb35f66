"""The console command in this process."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from builders.commands import Command
from raft_chaos.chaos.cli.app import main


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    """`raft-chaos` with these words: exit code, stdout, stderr."""

    def call(*words: str | Path) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["raft-chaos", *map(str, words)])
        return main(), *capsys.readouterr()

    return call
