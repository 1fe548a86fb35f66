"""Reproduction files as tests: each passes once its invariant holds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from raft_chaos.pytest_plugin import options

REPEAT = 5
"""How often a failure of another system, which does not always come, is given a chance."""


class _Head(msgspec.Struct):
    kind: str = ""


class NotHoldingError(AssertionError):
    """The invariant is violated, or it is unknown whether it is."""


def add_to_arguments(config: pytest.Config, folders: Sequence[Path]) -> None:
    """Without arguments, pytest collects the folders beside its `testpaths`."""
    if config.args_source == pytest.Config.ArgsSource.TESTPATHS:
        there = [Path(argument).absolute() for argument in config.args]
        new = [folder for folder in folders if folder.is_dir() and not any(map(folder.is_relative_to, there))]
        config.args += map(str, new)


class ReproductionFile(pytest.File):
    """A JSON file in one of the folders; only a reproduction is a test."""

    def collect(self) -> Iterator[pytest.Item]:
        try:
            head = msgspec.json.decode(self.path.read_bytes(), type=_Head)
        except (msgspec.MsgspecError, OSError, UnicodeDecodeError):
            head = _Head("reproduction")  # damaged: the test says so
        if head.kind == "reproduction":
            yield Reproduction.from_parent(self, name="holds")


class Reproduction(pytest.Item):
    """The test of one file."""

    def setup(self) -> None:
        """What fails here is an error: the file or the harness."""
        from raft_chaos.api.saved import reproduce

        self._done = reproduce(self.path, repeat=REPEAT, out=options.out(self.config))

    def runtest(self) -> None:
        if self._done.outcome == "unknown" and options.unknown(self.config) == "skip":
            pytest.skip(str(self._done))
        if not self._done.holds:
            raise NotHoldingError

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        if isinstance(excinfo.value, NotHoldingError):
            return f"{self._done}\nrun it again: raft-chaos repro {self.path}"
        return f"{type(excinfo.value).__name__}: {excinfo.value}"

    def reportinfo(self) -> tuple[Path, int | None, str]:
        return self.path, None, f"reproduction {self.path.name}"
