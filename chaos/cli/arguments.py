"""The arguments that define a run, as a user gave them. What cannot be used ends the command with exit code 254."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer

from raft_chaos.chaos.cli.common import fail, refusing
from raft_chaos.chaos.cli.run import configuration
from raft_chaos.chaos.run.options import settings_of
from raft_chaos.chaos.run.settings import Settings
from raft_chaos.chaos.schedule.data import Schedule

DECIDES_NOTHING = ("--jobs", "--executor", "--scheduler", "--max-failures", "--time-limit")
GIVEN_IN_REPRO = (
    *DECIDES_NOTHING,
    "--compare-leaderships",
    "--json",
    "--quiet",
    "--fail-fast",
    "--repeat",
    "--out",
    "--seed",
    "--seeds",
    "--schedule",
    "--config",
    "--dry-run",
    "--verbose",
)


def chosen_settings(given: Mapping[str, Any]) -> tuple[Settings, Schedule | None]:
    """The settings that the options give, and the saved schedule that they name."""
    with refusing():
        return settings_of(given)


def make_folder(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        fail(f"--out: cannot make run directories in {out} ({error.strerror})")


def given_options(context: typer.Context) -> list[str]:
    """The options that define a run, given or from a file, as words of a command line."""
    words: list[str] = []
    for parameter in context.command.params:
        source = context.get_parameter_source(parameter.name or "")
        option = parameter.opts[0]
        if source is None or source.name == "DEFAULT" or option in GIVEN_IN_REPRO:
            continue
        words += configuration.words(parameter, context.params[parameter.name or ""])
    # A file may change or vanish; what it said stands in these words.
    return [*words, "--config", configuration.NONE] if configuration.CONFIG in context.meta else words
