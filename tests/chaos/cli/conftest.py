"""The output of the console command as lines, in an empty folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from builders.commands import Command, InLines


@pytest.fixture
def empty_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def in_lines(command: Command, empty_folder: None) -> InLines:
    """`command` in an empty folder: exit code, the lines of stdout, and stderr."""

    def call(*words: str | Path) -> tuple[int, list[str], str]:
        code, stdout, stderr = command(*words)
        return code, stdout.splitlines(), stderr

    return call
